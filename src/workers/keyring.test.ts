import { createHmac } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import { createKeyReader } from './key-reader.ts'
import { createKeyring } from './keyring.ts'

const hour = 3_600_000
const minute = 60_000
const noon = Date.UTC(2026, 10, 21, 12)
const midnight = Date.UTC(2026, 10, 22)

async function setUp(start: number, graceMs?: number) {
  const clock = { time: start }
  const ring = await createKeyring({ now: () => clock.time, ...(graceMs === undefined ? {} : { graceMs }) })
  const reader = createKeyReader(ring.memory)
  async function at(time: number) {
    clock.time = time
    await ring.tick()
  }
  function fingerprint(time: number) {
    return createHmac('sha256', reader.keyFor(time).key).update('x').digest('hex')
  }
  return { ring, reader, at, fingerprint }
}

/** The words of the shared memory that are not zero, versions aside: what a thief would find. */
function secretWords(memory: SharedArrayBuffer): number {
  return new Int32Array(memory).filter((word, i) => i >= 16 && i % 16 >= 3 && word !== 0).length
}

test('all readers see one key a day, and another the next day', async () => {
  const { ring, reader, at, fingerprint } = await setUp(noon)
  const other = createKeyReader(ring.memory)
  expect(reader.keyFor(noon).epoch).toBe('2026-11-21')
  expect(other.keyFor(noon).key).toEqual(reader.keyFor(noon).key)
  const first = fingerprint(noon)
  await at(noon + hour)
  expect(fingerprint(noon + hour)).toBe(first)
  await at(midnight + hour)
  expect(reader.keyFor(midnight + hour).epoch).toBe('2026-11-22')
  expect(fingerprint(midnight + hour)).not.toBe(first)
})

test('the key of the next day is there ten minutes before it, and workers need nobody at the turn', async () => {
  const { reader, at } = await setUp(noon)
  expect(reader.keyFor(midnight).epoch).toBe('2026-11-21')
  await at(midnight - 10 * minute)
  expect(reader.keyFor(midnight - 1).epoch).toBe('2026-11-21')
  expect(reader.keyFor(midnight).epoch).toBe('2026-11-22')
})

test.each([
  ['by default half an hour', undefined, 30 * minute],
  ['at most a day', 90 * hour, 24 * hour],
])(
  'a key outlives its day %s, then it is gone from shared memory and from readers',
  async (_, grace, life) => {
    const { ring, reader, at } = await setUp(noon, grace)
    const old = reader.keyFor(noon).key
    const copy = Uint8Array.from(old)
    await at(midnight + hour / 4)
    await at(midnight + life - 1)
    expect(reader.keyFor(noon).key).toBe(old)
    const before = secretWords(ring.memory)
    await at(midnight + life)
    expect(secretWords(ring.memory)).toBeLessThanOrEqual(before)
    const now = reader.keyFor(noon)
    expect(now.epoch).not.toBe('2026-11-21')
    expect(now.key).not.toEqual(copy)
    reader.sweep()
    expect(old.every((byte) => byte === 0)).toBe(true)
  },
)

test('closing zeroes every key', async () => {
  const { ring, reader } = await setUp(midnight - minute)
  reader.keyFor(midnight)
  expect(secretWords(ring.memory)).toBeGreaterThan(8)
  ring.close()
  expect(secretWords(ring.memory)).toBe(0)
  expect(() => reader.keyFor(midnight)).toThrow('closed')
})

test('a clock that leaps gets the newest key, marked as what it is, until the main thread ticks', async () => {
  const { reader, at } = await setUp(noon)
  const later = noon + 72 * hour
  expect(reader.keyFor(later).epoch).toBe('2026-11-21')
  await at(later)
  expect(reader.keyFor(later).epoch).toBe('2026-11-24')
  await at(noon)
  expect(reader.keyFor(noon).epoch).toBe('2026-11-21')
})

test('a slot in the middle of a change is not read', async () => {
  const { ring, reader } = await setUp(noon)
  const words = new Int32Array(ring.memory)
  for (let slot = 0; slot < 4; slot++) Atomics.add(words, 16 + slot * 16, 1)
  expect(() => reader.keyFor(noon)).toThrow()
})

test('a copy of a key that was torn while it was made is zeroed', async () => {
  const { ring } = await setUp(noon)
  const reader = createKeyReader(ring.memory)
  const words = new Int32Array(ring.memory)
  const typedArrays: { fill(...args: unknown[]): unknown } = Object.getPrototypeOf(Int32Array.prototype)
  const { load } = Atomics
  const { fill } = typedArrays
  const zeroed: boolean[] = []
  let version = 0
  // Every look at a slot's version finds another one, as if the main thread never stopped changing it.
  const loads = vi.spyOn(Atomics, 'load').mockImplementation(((memory: Int32Array, at: number) => {
    if (at < 16 || at >= 80 || at % 16 !== 0) return load(memory, at)
    version += 2
    return version
  }) as typeof load)
  const fills = vi.spyOn(typedArrays, 'fill').mockImplementation(function (this: Int32Array, ...args) {
    if (this.length === 8) zeroed.push(this.some((word) => word !== 0 && words.includes(word)))
    return fill.apply(this, args)
  })
  try {
    expect(() => reader.keyFor(noon)).toThrow()
  } finally {
    loads.mockRestore()
    fills.mockRestore()
  }
  // Of the epoch's slot it held the key.
  expect(zeroed).toContain(true)
})
