import { expect, test } from 'vitest'
import { createDeliveryBacklog } from './delivery-backlog.ts'
import { range } from './ring.fixture.ts'

test('a backlog of any length is counted in bounded memory', () => {
  const backlog = createDeliveryBacklog()
  for (const i of range(20_000)) {
    backlog.append({ entries: 2, oldestMs: 5000 + i, end: { segment: 1, offset: 10 * (i + 1) } })
  }
  expect([backlog.entries(), backlog.oldestMs()]).toEqual([40_000, 5000])
  backlog.delivered({ segment: 1, offset: 10 * 19_000 })
  expect(backlog.entries()).toBeGreaterThanOrEqual(2000)
  expect(backlog.entries()).toBeLessThan(2100)
  backlog.delivered({ segment: 2, offset: 0 })
  expect([backlog.entries(), backlog.oldestMs()]).toEqual([0, Number.POSITIVE_INFINITY])
})
