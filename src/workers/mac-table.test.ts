import { expect, test } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import { createMacTable } from './mac-table.ts'
import { range } from './ring.fixture.ts'

test.each([1, 2, 3])(
  'seed %i: a MAC finds what a map of it would, until the table is full or cleared',
  (seed) => {
    const { next: random } = createRandom(seed)
    const table = createMacTable<{ number: number }>(100)
    for (const _ of range(5)) {
      const twin = new Map<string, object>()
      for (const number of range(300)) {
        // Few values, so that they come again and meet in the places that they lead to.
        const mac = Int32Array.of(Math.floor(random() * 12) * 2 ** 20, Math.floor(random() * 20) - 10)
        const known = twin.get(mac.join())
        expect(table.find(mac)).toBe(known)
        if (known !== undefined) continue
        const value = { number }
        expect(table.tryAdd(mac, value)).toBe(twin.size < 100)
        if (twin.size < 100) twin.set(mac.join(), value)
      }
      expect(twin.size).toBe(100)
      table.clear()
    }
  },
)
