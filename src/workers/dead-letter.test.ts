import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { forEachFrame } from '../ring/reader.ts'
import { deadLetter } from './dead-letter.ts'
import { createBatch, createRecord } from './record.fixture.ts'

test('a dead letter tells what was asked, and nothing of who asked', () => {
  const nonce = randomBytes(16)
  const { sab, from, to } = createBatch([createRecord({ hasNonce: true, nonce })])
  const letters: unknown[] = []
  forEachFrame(sab, from, to, (bytes, _, offset) => letters.push(deadLetter(bytes, offset)))
  const text = JSON.stringify(letters)
  expect(letters[0]).toMatchObject({ repository: 'acme/app', status: 206, tool: 'docker', version: '28.1.1' })
  expect(letters[0]).not.toHaveProperty('address')
  expect(letters[0]).not.toHaveProperty('nonce')
  for (const form of ['81,2,69', '"81"', '173', '01f442b', nonce.toString('hex')])
    expect(text).not.toContain(form)
  expect(deadLetter(Buffer.alloc(64, 0xff), 0)).toBeNull()
})
