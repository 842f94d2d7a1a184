import { expect, test } from 'vitest'
import { createCallGroup } from './call-group.ts'

function createSquares(mostCalls = 3) {
  const groups: number[][] = []
  const group = createCallGroup(mostCalls, (requests: readonly number[]) => {
    groups.push([...requests])
    if (requests.some((request) => request < 0)) throw new Error('negative')
    return requests.map((request) => request * request)
  })
  return { group, groups }
}

test('calls of one turn are answered together, each with its own answer', async () => {
  const { group, groups } = createSquares()
  const answers = await Promise.all([1, 2, 3, 4, 5].map(group.call))
  expect(answers).toEqual([1, 4, 9, 16, 25])
  expect(groups).toEqual([
    [1, 2, 3],
    [4, 5],
  ])
  expect(await group.call(6)).toBe(36)
})

test('one that cannot be answered fails alone', async () => {
  const { group } = createSquares()
  const [first, second, third] = await Promise.allSettled([1, -2, 3].map(group.call))
  expect(first).toEqual({ status: 'fulfilled', value: 1 })
  expect(second).toMatchObject({ status: 'rejected', reason: new Error('negative') })
  expect(third).toEqual({ status: 'fulfilled', value: 9 })
  await expect(group.call(-1)).rejects.toThrow('negative')
})

test('flush answers what waits, once', async () => {
  const { group, groups } = createSquares()
  const answers = [1, 2, 3, 4].map(group.call)
  group.flush()
  expect(groups).toEqual([[1, 2, 3], [4]])
  expect(await Promise.all(answers)).toEqual([1, 4, 9, 16])
  group.flush()
  expect(groups).toHaveLength(2)
})
