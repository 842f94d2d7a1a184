import { expect, test } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import { createKeyTable } from './key-table.ts'
import { range } from './ring.fixture.ts'

test.each([1, 2, 3])(
  'seed %i: a key finds what a map of its bytes would find, until all is forgotten',
  (seed) => {
    const { next: random } = createRandom(seed)
    let made = 0
    const table = createKeyTable(512, () => ({ number: made++ }))
    for (const _ of range(20)) {
      const twin = new Map<string, object>()
      for (const _ of range(600)) {
        // 253 keys that differ in one word, under two texts: they come again, and meet in the places they hash to.
        const key = new Uint8Array(16)
        key[4 * Math.floor(random() * 4)] = Math.floor(random() * 64)
        const text = random() < 0.3 ? 'b' : 'a'
        const name = `${key.join()} ${text}`
        const value = table.find(key, text)
        expect(value).toBe(twin.get(name) ?? value)
        twin.set(name, value)
      }
      expect(new Set(twin.values()).size).toBe(twin.size)
      const before = made
      table.clear()
      table.find(new Uint8Array(16), '')
      expect(made).toBe(before + 1)
      table.clear()
    }
  },
)

test('a table that is full still answers, and keeps those it has', () => {
  let made = 0
  const table = createKeyTable(4, () => ({ number: made++ }))
  const key = (value: number) => new Uint8Array(16).fill(value)
  const first = range(4).map((value) => table.find(key(value), ''))
  for (const value of range(100, 4)) expect(table.find(key(value), '').number).toBe(value)
  expect(range(4).map((value) => table.find(key(value), ''))).toEqual(first)
  expect(table.find(key(50), '')).not.toBe(table.find(key(50), ''))
})
