import { expect, test } from 'vitest'
import { createExpiringMap } from './expiring-map.ts'

test('what is set is known until its time is over, and no longer', () => {
  const map = createExpiringMap<string>({ maxEntries: 2, lifetimeMs: 100 })
  map.set('a', 'x', 0)
  expect(map.get('a', 99)).toBe('x')
  expect(map.get('a', 100)).toBeUndefined()
  map.set('a', 'y', 100)
  expect(map.get('a', 150)).toBe('y')
  map.delete('a')
  expect(map.get('a', 150)).toBeUndefined()
})

test('it never holds more than it may: what was set first goes first', () => {
  const map = createExpiringMap<number>({ maxEntries: 3, lifetimeMs: 1000 })
  for (let key = 0; key < 100; key++) map.set(String(key), key, 0)
  map.set('97', 0, 1)
  map.set('new', 1, 1)
  const known = [...Array(100).keys(), 'new'].filter((key) => map.get(String(key), 1) !== undefined)
  expect(known).toEqual([97, 99, 'new'])
})
