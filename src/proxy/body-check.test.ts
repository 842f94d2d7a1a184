import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { createBodyCheck } from './body-check.ts'

const chunks = ['one ', 'two ', 'three'].map((text) => Buffer.from(text))
const whole = Buffer.concat(chunks)

test.each(['sha256', 'sha512'])(
  'a body of its %s digest comes out whole, the last chunk at its end',
  (algorithm) => {
    const check = createBodyCheck(`${algorithm}:${createHash(algorithm).update(whole).digest('hex')}`)
    const out = chunks.map((chunk) => {
      const lent = Buffer.from(chunk)
      const before = check?.add(lent) ?? null
      lent.fill(0)
      return before
    })
    expect(out).toEqual([null, chunks[0], chunks[1]])
    expect(check?.end()).toEqual(chunks[2])
  },
)

test('the end of any other body is kept back', () => {
  const check = createBodyCheck(`sha256:${'0'.repeat(64)}`)
  for (const chunk of chunks) check?.add(chunk)
  expect(check?.end()).toBe(false)
})

test('an empty body has a digest too', () => {
  expect(createBodyCheck(`sha256:${createHash('sha256').digest('hex')}`)?.end()).toBeNull()
  expect(createBodyCheck(`sha256:${'0'.repeat(64)}`)?.end()).toBe(false)
})

test('an algorithm that is not known is not checked', () => {
  expect(createBodyCheck('md5:00')).toBeNull()
  expect(createBodyCheck('latest')).toBeNull()
})
