/** Read again as seldom as may be, but never asked about what came after it was read. */
import { expect, test } from 'vitest'
import { createMemoryBook } from './memory-book.ts'

function createFixture(rowsOf: (key: string) => number[]) {
  const fetched: string[] = []
  const book = createMemoryBook(
    async (key) => {
      fetched.push(key)
      return rowsOf(key)
    },
    (rows) => rows.length,
  )
  return { fetched, book }
}

test('what was read holds for the time before, and is read once for all that ask together', async () => {
  let count = 1
  const { fetched, book } = createFixture(() => Array(count).fill(0))
  expect(book.peek('a', 5)).toBeUndefined()
  expect(await Promise.all([book.load('a', 10), book.load('a', 10), book.load('a', 9)])).toEqual([1, 1, 1])
  expect(fetched).toEqual(['a'])
  expect([book.peek('a', 9), book.peek('a', 10), book.peek('b', 9)]).toEqual([1, undefined, undefined])
  count = 3
  expect(await book.load('a', 20)).toBe(3)
  expect(book.peek('a', 19)).toBe(3)
})

test('what could not be read is read again', async () => {
  let fails = true
  const { book } = createFixture(() => {
    if (fails) throw new Error('away')
    return [1]
  })
  await expect(book.load('a', 10)).rejects.toThrow('away')
  fails = false
  expect(await book.load('a', 10)).toBe(1)
})

test('the oldest give way', async () => {
  const { book } = createFixture(() => Array(90_000).fill(0))
  for (const key of ['a', 'b', 'c']) await book.load(key, 10)
  expect(['a', 'b', 'c'].map((key) => book.peek(key, 1))).toEqual([undefined, 90_000, 90_000])
})
