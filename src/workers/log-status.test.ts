import { expect, test } from 'vitest'
import { claimStatusRow, createLogStatus, freeStatusRow, readStatus, writeStatus } from './log-status.ts'

test('rows are claimed, written, read and freed', () => {
  const sab = createLogStatus(2)
  const first = claimStatusRow(sab, 7)
  const second = claimStatusRow(sab, 9)
  expect(() => claimStatusRow(sab, 11)).toThrow(/taken/)
  const status = {
    sessions: { undelivered: 3, oldestMs: 1234.5 },
    publisher: { undelivered: 0, oldestMs: null },
  }
  writeStatus(sab, first, status)
  expect(readStatus(sab).get(first)).toEqual({
    threadId: 7,
    targets: { ...status, sessions: { undelivered: 3, oldestMs: 1234 } },
  })
  freeStatusRow(sab, 7)
  expect([...readStatus(sab).keys()]).toEqual([second])
  expect(claimStatusRow(sab, 11)).toBe(first)
  expect(readStatus(sab).get(first)?.targets.sessions).toEqual({ undelivered: 0, oldestMs: null })
})
