import { expect, test } from 'vitest'
import { createSlots } from './slots.ts'

test('runs so many at once, in order, refuses what is too much, and goes on after failures', async () => {
  const slots = createSlots({ running: 2, waiting: 2 })
  const started: number[] = []
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const start = (n: number) =>
    slots.tryRun(async () => {
      started.push(n)
      await gates[n]!.promise
      if (n === 0) throw new Error('zero')
      return n
    })
  const runs = [0, 1, 2, 3, 4].map(start)
  expect(started).toEqual([0, 1])
  expect(runs[4]).toBeNull()

  gates[0]!.resolve()
  await expect(runs[0]).rejects.toThrow('zero')
  await expect.poll(() => started).toEqual([0, 1, 2])
  const late = start(4)
  expect(late).not.toBeNull()
  for (const gate of gates) gate.resolve()
  expect(await Promise.all([runs[1], runs[2], runs[3], late])).toEqual([1, 2, 3, 4])
  expect(started).toEqual([0, 1, 2, 3, 4])
  expect(await slots.tryRun(async () => 'free')).toBe('free')
})
