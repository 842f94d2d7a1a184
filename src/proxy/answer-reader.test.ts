import { expect, test } from 'vitest'
import type { AnswerHead } from './answer-head.ts'
import { AnswerReader, type AnswerTarget } from './answer-reader.ts'

/** What came of an answer, whatever parts it came in. */
type Heard = {
  status: number
  body: string
  /** What nothing more comes after. */
  end: 'end' | 'last' | 'malformed' | 'open' | 'cut'
}

class Ear implements AnswerTarget {
  heard: Heard = { status: 0, body: '', end: 'open' }
  readonly reader = new AnswerReader(this)
  readonly #mayPause: () => boolean

  constructor(mayPause: () => boolean) {
    this.#mayPause = mayPause
  }

  #pause(): void {
    if (this.#mayPause()) this.reader.isPaused = true
  }

  onHead(head: AnswerHead): void {
    expect(this.heard.status).toBe(0)
    this.heard.status = head.status
    this.#pause()
  }

  onData(chunk: Buffer): void {
    expect(this.heard.end).toBe('open')
    expect(chunk.length).toBeGreaterThan(0)
    this.heard.body += chunk.toString('latin1')
    this.#pause()
  }

  onEnd(isLast: boolean): void {
    expect(this.heard.end).toBe('open')
    this.heard.end = isLast ? 'last' : 'end'
  }

  onMalformed(): void {
    this.heard.end = 'malformed'
  }
}

/** Reads `text` in parts that end where `cutAt` says, and the end of the connection. */
function hear(text: string, isHead: boolean, cutAt: (left: number) => number, mayPause = () => false): Heard {
  const ear = new Ear(mayPause)
  ear.reader.expect(isHead)
  const bytes = Buffer.from(text, 'latin1')
  // As a socket's: used again for each read.
  const buffer = Buffer.alloc(bytes.length + 1)
  for (let at = 0; at < bytes.length; ) {
    // What comes later than the end is the connection's to see: nobody asked for it.
    if (ear.heard.end === 'end') return { ...ear.heard, end: 'last' }
    const length = Math.min(bytes.length - at, Math.max(1, cutAt(bytes.length - at)))
    bytes.copy(buffer, 0, at, at + length)
    ear.reader.read(buffer, length)
    buffer.fill(0x58)
    at += length
    while (ear.reader.isPaused && mayPause()) ear.reader.resume()
  }
  while (ear.reader.isPaused) ear.reader.resume()
  const isWhole = ear.reader.close()
  if (!isWhole && ear.heard.end === 'open') ear.heard.end = 'cut'
  return ear.heard
}

const ok = 'HTTP/1.1 200 OK\r\n'
const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`

test.each<[string, string, Partial<Heard>]>([
  ['a length', `${ok}Content-Length: 5\r\n\r\nhello`, { body: 'hello', end: 'end' }],
  ['a length of 0', `${ok}Content-Length: 0\r\n\r\n`, { body: '', end: 'end' }],
  ['more than its length', `${ok}Content-Length: 5\r\n\r\nhelloHTTP/1.1 200`, { body: 'hello', end: 'last' }],
  ['less than its length', `${ok}Content-Length: 6\r\n\r\nhello`, { body: 'hello', end: 'cut' }],
  ['the end of the connection', `${ok}\r\nhello`, { body: 'hello', end: 'last' }],
  ['close', `${ok}Connection: x, Close\r\nContent-Length: 1\r\n\r\na`, { body: 'a', end: 'last' }],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na', { body: 'a', end: 'last' }],
  ['chunks', `${chunked}3\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n`, { body: 'abc0123456789', end: 'end' }],
  ['extensions', `${chunked}3;a="b"\r\nabc\r\n0 \t;c\r\n\r\n`, { body: 'abc', end: 'end' }],
  ['trailers', `${chunked}1\r\na\r\n0\r\nX: y\r\nZ: \t\r\n\r\n`, { body: 'a', end: 'end' }],
  ['more than its last chunk', `${chunked}1\r\na\r\n0\r\n\r\nx`, { body: 'a', end: 'last' }],
  ['no last chunk', `${chunked}1\r\na\r\n`, { body: 'a', end: 'cut' }],
  ['no end of trailers', `${chunked}1\r\na\r\n0\r\nX: y\r\n`, { body: 'a', end: 'cut' }],
  ['a size that is none', `${chunked}z\r\n`, { end: 'malformed' }],
  ['no size', `${chunked}\r\na`, { end: 'malformed' }],
  ['a sign', `${chunked}-1\r\na`, { end: 'malformed' }],
  ['0x', `${chunked}0x1\r\na`, { end: 'malformed' }],
  ['too large a size', `${chunked}1000000000000\r\na`, { end: 'malformed' }],
  ['a bare LF after the size', `${chunked}1\na`, { end: 'malformed' }],
  ['a chunk longer than its size', `${chunked}1\r\nab\r\n0\r\n\r\n`, { body: 'a', end: 'malformed' }],
  ['a bare LF after a chunk', `${chunked}1\r\na\n0\r\n\r\n`, { body: 'a', end: 'malformed' }],
  ['NUL in an extension', `${chunked}1;\0\r\na`, { end: 'malformed' }],
  ['endless extensions', `${chunked}1;${'a'.repeat(2000)}`, { end: 'malformed' }],
  ['endless trailers', `${chunked}0\r\n${'a: b\r\n'.repeat(5000)}`, { end: 'malformed' }],
  ['LF in a trailer', `${chunked}0\r\nA: b\n\r\n`, { end: 'malformed' }],
  [
    'interim answers',
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n${ok}Content-Length: 1\r\n\r\na`,
    { status: 200, body: 'a', end: 'end' },
  ],
  ['nothing after an interim answer', 'HTTP/1.1 100 Continue\r\n\r\n', { status: 0, end: 'cut' }],
  ['endless interim answers', 'HTTP/1.1 102 P\r\n\r\n'.repeat(17), { status: 0, end: 'malformed' }],
  ['another protocol', 'HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n', { status: 0, end: 'malformed' }],
  ['204', 'HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n', { status: 204, end: 'end' }],
  ['304', 'HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n', { status: 304, end: 'end' }],
  ['two lengths', `${ok}Content-Length: 1\r\nContent-Length: 1\r\n\r\na`, { status: 0, end: 'malformed' }],
  ['a list of lengths', `${ok}Content-Length: 1, 1\r\n\r\na`, { status: 0, end: 'malformed' }],
  ['a sign before the length', `${ok}Content-Length: +1\r\n\r\na`, { status: 0, end: 'malformed' }],
  ['length and coding', `${ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, { end: 'malformed' }],
  ['another coding', `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n`, { end: 'malformed' }],
  [
    'chunked twice',
    `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
    { end: 'malformed' },
  ],
  ['chunks of HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', { end: 'malformed' }],
  ['an endless head', `${ok}${`X: ${'x'.repeat(1000)}\r\n`.repeat(40)}`, { status: 0, end: 'malformed' }],
  ['no HTTP', 'SSH-2.0-OpenSSH\r\n', { status: 0, end: 'malformed' }],
  ['nothing', '', { status: 0, end: 'cut' }],
])('%s', (_name, text, expected) => {
  expect(hear(text, false, (left) => left)).toMatchObject(expected)
  // However it comes. An error may show later then, but before the same byte is handed on.
  for (const size of [1, 2, 3, 7]) expect(hear(text, false, () => size)).toMatchObject(expected)
})

test.each([
  ['a length', `${ok}Content-Length: 5\r\n\r\n`, 'end'],
  ['a coding', chunked, 'end'],
  ['a body nevertheless', `${ok}Content-Length: 5\r\n\r\nhello`, 'last'],
  ['neither', `${ok}\r\n`, 'end'],
])('the answer to a HEAD has no body: %s', (_name, text, end) => {
  expect(hear(text, true, (left) => left)).toEqual({ status: 200, body: '', end })
})

test('a connection is read on from answer to answer', () => {
  const ear = new Ear(() => false)
  const bytes = Buffer.from(`${ok}Content-Length: 2\r\n\r\nab`)
  for (let round = 0; round < 3; round++) {
    ear.heard = { status: 0, body: '', end: 'open' }
    ear.reader.expect(false)
    ear.reader.read(bytes, bytes.length)
    expect(ear.heard).toEqual({ status: 200, body: 'ab', end: 'end' })
  }
})

/** The same, as plainly as it can be said, of the whole text at once. */
function naive(text: string, isHead: boolean): Heard {
  const malformed = { status: 0, body: '', end: 'malformed' } as const
  let rest = text
  for (;;) {
    const found =
      /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n/.exec(
        rest,
      )
    // No text of the test below ends within a head that could still become one.
    if (!found) return malformed
    const [all, minor, status, lines = ''] = found
    rest = rest.slice(all.length)
    if (status === '101') return malformed
    if (status?.startsWith('1')) continue
    const of = (name: string) =>
      lines
        .split('\r\n')
        .filter((line) => line.toLowerCase().startsWith(`${name}:`))
        .map((line) => line.slice(name.length + 1).trim())
        .join(', ')
    const length = of('content-length')
    const coding = of('transfer-encoding').toLowerCase()
    if (coding !== '' && (coding !== 'chunked' || length !== '' || minor === '0')) return malformed
    if (length !== '' && !/^\d{1,15}$/.test(length)) return malformed
    const isLast =
      minor === '0' ||
      of('connection')
        .toLowerCase()
        .split(/[\s,]+/)
        .includes('close')
    const heard = (body: string, end: Heard['end'], more = ''): Heard => ({
      status: Number(status),
      body,
      end: end === 'end' && (isLast || more !== '') ? 'last' : end,
    })
    if (isHead || status === '204' || status === '304') return heard('', 'end', rest)
    if (length !== '') {
      const size = Number(length)
      return rest.length < size ? heard(rest, 'cut') : heard(rest.slice(0, size), 'end', rest.slice(size))
    }
    if (coding === '') return heard(rest, 'last')
    let body = ''
    for (;;) {
      const size = /^([0-9a-f]{1,12})(?:[; \t][\t\x20-\x7e\x80-\xff]*)?\r\n/i.exec(rest)
      if (!size) return heard(body, 'malformed')
      const left = Number.parseInt(size[1] as string, 16)
      rest = rest.slice(size[0].length)
      if (left === 0) {
        const trailers = /^(?:[\t\x20-\x7e\x80-\xff]+\r\n)*\r\n/.exec(rest)
        return trailers ? heard(body, 'end', rest.slice(trailers[0].length)) : heard(body, 'malformed')
      }
      body += rest.slice(0, left)
      if (rest.length <= left) return heard(body, 'cut')
      if (rest.slice(left, left + 2) !== '\r\n') return heard(body, 'malformed')
      rest = rest.slice(left + 2)
    }
  }
}

test('answers of any make, cut and paused anywhere, are read as plainly', () => {
  let seed = 20_261
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  const pick = <Value>(...values: Value[]): Value => values[random(values.length)] as Value
  const filler = (): string => 'abcdefghij'.repeat(1 + random(30)).slice(random(10))
  const answer = (): string => {
    const interim = pick('', '', '', 'HTTP/1.1 103 Hints\r\nA: b\r\n\r\n')
    const start = `${interim}HTTP/1.${pick('1', '1', '1', '0')} ${pick(200, 200, 206, 204, 304, 404)}${pick('', ' ', ' OK')}\r\n`
    const others = pick(
      '',
      'X: y\r\n',
      'Connection: close\r\n',
      'Connection: keep-alive\r\n',
      'A:\r\nB:  b \r\n',
    )
    const body = filler()
    const more = pick('', '', '', 'x', 'HTTP/1.1 200 OK\r\n')
    const kind = random(4)
    if (kind === 0) return `${start}${others}\r\n${body}`
    if (kind === 1) {
      const length = body.length + pick(0, 0, 0, 5)
      return `${start}${others}Content-Length: ${length}\r\n\r\n${body}${more}`
    }
    const chunks = Array.from({ length: random(5) }, filler).map(
      (chunk) => `${chunk.length.toString(16)}${pick('', ';a=b', ' ')}\r\n${chunk}\r\n`,
    )
    const end = `0\r\n${pick('', 'X: y\r\n')}\r\n`
    return `${start}${others}Transfer-Encoding: ${pick('chunked', 'chunked', 'Chunked', 'gzip')}\r\n\r\n${chunks.join('')}${end}${more}`
  }
  /** Of the head or the first chunks: later on, the plain rules cannot tell what is cut from what is broken. */
  const broken = (text: string): string => {
    const at = random(Math.min(text.length, 60))
    return `${text.slice(0, at)}${pick('', ' ', '\n', '\r', '\0', ':', '1', 'z', '\x7f', '\xe9')}${text.slice(at + 1)}`
  }
  const ends: Record<string, number> = {}
  for (let round = 0; round < 5000; round++) {
    const isHead = random(5) === 0
    const text = random(3) === 0 ? broken(answer()) : answer()
    const expected = naive(text, isHead)
    const size = 1 + random(40)
    const pauses = random(2) === 0
    const heard = hear(
      text,
      isHead,
      (left) => (random(3) === 0 ? left : 1 + random(size)),
      () => pauses && random(3) === 0,
    )
    ends[heard.end] = (ends[heard.end] ?? 0) + 1
    // A head that breaks off, and chunks: cut or malformed, neither is an answer.
    const failed = ['cut', 'malformed']
    const same = failed.includes(expected.end) && failed.includes(heard.end)
    expect({ text, ...heard, end: same ? expected.end : heard.end }).toEqual({ text, ...expected })
  }
  for (const end of ['end', 'last', 'malformed', 'cut']) expect(ends[end]).toBeGreaterThan(50)
})
