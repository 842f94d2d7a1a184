import { expect, test } from 'vitest'
import { AnswerHead, headOf } from './answer-head.ts'

const block = (lines: string) => headOf(200, lines).block()?.toString('latin1')

test.each([
  ['A: 1\r\nB: 2', '1.1 waybill\r\nA: 1\r\nB: 2'],
  ['A: 1\r\nDate: now\r\nB: 2', '1.1 waybill\r\nA: 1\r\nB: 2'],
  ['Date: now\r\nA: 1', '1.1 waybill\r\nA: 1'],
  ['A: 1\r\nSet-Cookie: x\r\nContent-Length: 5\r\nB: 2\r\nC: 3', '1.1 waybill\r\nA: 1\r\nB: 2\r\nC: 3'],
  ['A: 1\r\nConnection: B, close\r\nB: 2\r\nC: 3', '1.1 waybill\r\nA: 1\r\nC: 3'],
  ['A: 1\r\nConnection: B\r\nC: 3\r\nConnection: c\r\nB: 2', '1.1 waybill\r\nA: 1'],
  ['Connection: B\r\nb: 2', '1.1 waybill'],
  ['A:\r\nB:2\r\nC:   3', '1.1 waybill\r\nA:\r\nB:2\r\nC:   3'],
  ['A: caf\xe9\r\nA: two', '1.1 waybill\r\nA: caf\xe9\r\nA: two'],
  ['', '1.1 waybill'],
  [`A: ${'x'.repeat(16_000)}`, `1.1 waybill\r\nA: ${'x'.repeat(16_000)}`],
  [`A: ${'x'.repeat(17_000)}`, undefined],
])('of %j is handed on %j', (lines, expected) => {
  expect(block(lines)).toBe(expected)
})

test('fields are read in any case, without blanks around them, and joined', () => {
  const { fields, status } = headOf(401, 'WWW-Authenticate: \t a \t\r\nwww-authenticate: b\r\nETAG:"x"')
  expect([status, fields.challenge, fields.etag, fields.location]).toEqual([401, 'a, b', '"x"', ''])
})

test('a copy outlives the bytes that the head was read from', () => {
  const bytes = Buffer.from('HTTP/1.1 401 No\r\nX: 1\r\nWWW-Authenticate: a\r\nY: 2\r\n\r\nbody')
  const head = new AnswerHead()
  head.read(bytes, 0, bytes.length)
  const copy = head.copy()
  bytes.fill(0)
  expect([copy.status, copy.fields.challenge, copy.block()?.toString()]).toEqual([
    401,
    'a',
    '1.1 waybill\r\nX: 1\r\nY: 2',
  ])
})

test('98 lines are read, and no more', () => {
  const lines = (count: number) => Array.from({ length: count }, () => 'X: a').join('\r\n')
  expect(block(lines(98))).toHaveLength('1.1 waybill'.length + 98 * 6)
  expect(() => headOf(200, lines(99))).toThrow()
})

test.each([
  ['', 0],
  ['HTT', 0],
  ['HTTP/1.1 200', 0],
  ['HTTP/1.1 200 OK', 0],
  ['HTTP/1.1 200 OK\r', 0],
  ['HTTP/1.1 200 OK\r\n', 0],
  ['HTTP/1.1 200 OK\r\nA', 0],
  ['HTTP/1.1 200 OK\r\nA: b', 0],
  ['HTTP/1.1 200 OK\r\nA: b\r', 0],
  ['HTTP/1.1 200 OK\r\nA: b\r\n\r', 0],
  ['HTTP/1.1 200 OK\r\nA: b\r\n\r\n', 25],
  ['HTTP/1.1 200 OK\r\n\r\nbody', 19],
  ['HTTP/1.1 200\r\n\r\n', 16],
  ['HTTP/1.0 200 \r\n\r\n', 17],
  ['HTTP/1.1 200 caf\xe9 \t!\r\n\r\n', 24],
  ['SSH-2.0', -1],
  ['http/1.1 200 OK\r\n\r\n', -1],
  ['HTTP/2.0 200 OK\r\n\r\n', -1],
  ['HTTP/1.2 200 OK\r\n\r\n', -1],
  ['HTTP/1.1  200 OK\r\n\r\n', -1],
  ['HTTP/1.1 20 OK\r\n\r\n', -1],
  ['HTTP/1.1 099 OK\r\n\r\n', -1],
  ['HTTP/1.1 2000 OK\r\n\r\n', -1],
  ['HTTP/1.1 200 O\x00K\r\n\r\n', -1],
  ['HTTP/1.1 200 OK\n\n', -1],
  ['HTTP/1.1 200 OK\r\rA: b', -1],
  ['HTTP/1.1 200 OK\r\nA: b\n\r\n', -1],
  ['HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n', -1],
  ['HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', -1],
  ['HTTP/1.1 200 OK\r\n A: b\r\n\r\n', -1],
  ['HTTP/1.1 200 OK\r\nA : b\r\n\r\n', -1],
  ['HTTP/1.1 200 OK\r\nA\r\n\r\n', -1],
  ['HTTP/1.1 200 OK\r\n: b\r\n\r\n', -1],
  ['HTTP/1.1 200 OK\r\n\xc4: b\r\n\r\n', -1],
  ['HTTP/1.1 200 OK\r\nA: \x7f\r\n\r\n', -1],
  ['HTTP/1.1 200 OK\r\n\rX', -1],
])('%j: %i', (text, end) => {
  const bytes = Buffer.from(text, 'latin1')
  expect(new AnswerHead().read(bytes, 0, bytes.length)).toBe(end)
})
