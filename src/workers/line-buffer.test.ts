import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLineBuffer } from './line-buffer.ts'

test('any lines come out as their UTF-8, batch after batch', () => {
  const buffer = createLineBuffer()
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (lines) => {
      for (const line of lines) buffer.push(line)
      expect(buffer.take()).toEqual(Buffer.from(lines.map((line) => `${line}\n`).join('')))
    }),
  )
})

test('lines of more than the first buffer holds are all there, and what was taken stays as it is', () => {
  const buffer = createLineBuffer()
  const lines = Array.from({ length: 40 }, (_, i) => `${i}€`.repeat(25_000))
  for (const line of lines) buffer.push(line)
  const taken = buffer.take()
  buffer.push('x'.repeat(100))
  expect(taken.equals(Buffer.from(`${lines.join('\n')}\n`))).toBe(true)
  buffer.clear()
  expect(buffer.take().length).toBe(0)
})
