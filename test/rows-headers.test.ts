/** Rows H01 to H13 of the catalogue of protocol safety: which header fields pass, both ways, over raw sockets. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { startFront, type TestFront } from './support/front.ts'
import { answered, speak } from './support/raw-client.ts'

const body = 'blob bytes'
const blob = `sha256:${createHash('sha256').update(body).digest('hex')}`
const path = `/v2/app/blobs/${blob}`

let upstream: FaultUpstream
let front: TestFront

beforeAll(async () => {
  upstream = await startFaultUpstream()
  front = await startFront({ upstream: upstream.url })
})
afterAll(async () => {
  await front.stop()
  await upstream.stop()
})
beforeEach(() => {
  upstream.seen.length = 0
  upstream.answer(path, { body })
})

const request = (lines: string[], method = 'GET') =>
  [`${method} ${path} HTTP/1.1`, 'Host: a', ...lines, '', ''].join('\r\n')

/** Sends the lines and gives what the upstream got: `name: value` in lower-case names, without its own. */
async function received(lines: string[]): Promise<string[]> {
  await speak(front.port, request(lines), { enough: answered(1) })
  const { rawHeaders = [] } = upstream.seen.at(-1) ?? {}
  const pairs = rawHeaders.flatMap((name, at) =>
    at % 2 ? [] : [`${name.toLowerCase()}: ${rawHeaders[at + 1]}`],
  )
  return pairs.filter((pair) => !/^(?:host|connection|via): /.test(pair))
}

/** Lets the upstream answer with these lines and gives what came down, without Date, Via and the length. */
async function handedBack(
  lines: string[],
  method = 'GET',
): Promise<{ head: string; lines: string[]; body: string }> {
  upstream.answer(path, {
    raw: Buffer.from(
      ['HTTP/1.1 200 OK', `Content-Length: ${body.length}`, ...lines, '', method === 'HEAD' ? '' : body].join(
        '\r\n',
      ),
      'latin1',
    ),
  })
  const { text } = await speak(front.port, request([], method), {
    enough: method === 'HEAD' ? (all) => all.includes('\r\n\r\n') : answered(1),
  })
  const [head = '', rest = ''] = text.split('\r\n\r\n', 2)
  const kept = head.split('\r\n').slice(1)
  return { head, body: rest, lines: kept.filter((line) => !/^(?:date|via|content-length): /i.test(line)) }
}

const hopByHop = [
  'Connection: keep-alive',
  'Proxy-Connection: keep-alive',
  'Keep-Alive: timeout=5',
  'Proxy-Authenticate: Basic',
  'Proxy-Authorization: Basic eDp5',
  'TE: trailers',
  'Trailer: X',
  'Upgrade: h2c',
]

describe('H01 what Connection nominates', () => {
  test('does not pass, nor does Connection', async () => {
    expect(await received(['Connection: close, X-Secret, Keep-Alive', 'X-Secret: 1', 'X-Other: 1'])).toEqual([
      'x-other: 1',
    ])
    expect(
      await received([
        'X-Secret: 1',
        'Connection: x-SECRET',
        'x-secret: 2',
        'Connection: keep-alive, x-b',
        'X-B: 1',
      ]),
    ).toEqual([])
  })
  test.each([
    'Host',
    'Authorization',
    'Range',
    'If-Range',
    'If-None-Match',
    'Accept',
    'Content-Length',
    'Content-Type',
    'Cache-Control',
  ])('may not be %s, which would change what is asked', async (name) => {
    const { statuses, closed } = await speak(front.port, request([`Connection: keep-alive, ${name}`]))
    expect([statuses, closed, upstream.seen]).toEqual([[400], true, []])
  })
  test('does not let a client take away what the front adds', async () => {
    await speak(front.port, request(['Connection: Via', 'Via: 1.1 waybill']), { enough: answered(1) })
    expect(upstream.seen).toEqual([])
    await speak(front.port, request(['Connection: Via, X-Forwarded-For']), { enough: answered(1) })
    expect(upstream.seen[0]?.headers.via).toBe('1.1 waybill')
  })
})

test('H02 what an answer nominates stays here', async () => {
  const { lines } = await handedBack([
    'Connection: X-Up, close, x-other',
    'X-Up: 1',
    'X-Other: 2',
    'X-Kept: 3',
  ])
  expect(lines).toEqual(['X-Kept: 3'])
})

test('H03 hop-by-hop fields stay on their hop, both ways', async () => {
  expect(await received(hopByHop)).toEqual([])
  const { lines } = await handedBack(hopByHop)
  expect(lines).toEqual([])
})

test('H04 several fields of a name keep count, order and bytes', async () => {
  const twice = ['X-A: 1', 'X-B: 2', 'X-A: 3,  4', 'Warning: 199 - "a"', 'Warning: 199 - "b"']
  expect((await handedBack(twice)).lines).toEqual(twice)
  expect(await received(twice)).toEqual(
    twice.map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase())),
  )
})

test('H05 values of answers pass byte for byte, and none can begin a line of its own', async () => {
  const bytes = [
    'X-Latin: caf\xe9',
    'X-Utf: \xc3\xa9\xf0\x9f\x9a\xa2',
    'X-High: \x80\xff',
    'X-Tab: a\tb',
    'X-Empty: ',
    'X-Quoted: "a\\"b"',
  ]
  expect((await handedBack(bytes)).lines.map((line) => line.trimEnd())).toEqual(
    bytes.map((line) => line.trimEnd()),
  )
  for (const line of ['X: a\rSet-Cookie: b', 'X: a\nSet-Cookie: b', 'X: a\r\rb', 'X: a\x00b']) {
    const { head } = await handedBack([line])
    expect(head).not.toMatch(/set-cookie/i)
    expect(head).toMatch(/^HTTP\/1\.1 502 /)
  }
})

test('H06 unknown fields pass, both ways', async () => {
  const unknown = [
    'X-Anything: a',
    'Priority: u=1',
    'Sec-Fetch-Mode: cors',
    'Accept-Encoding: gzip',
    'DNT: 1',
    'OCI-Subject: x',
  ]
  expect(await received(unknown)).toEqual(
    unknown.map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase())),
  )
  expect((await handedBack([...unknown, 'Allow: GET'])).lines).toEqual([...unknown, 'Allow: GET'])
})

describe('H07 Via', () => {
  test.each([
    [[], '1.1 waybill'],
    [['Via: 1.0 a'], '1.0 a, 1.1 waybill'],
    [['Via: 1.0 a', 'Via: 1.1 b (note)'], '1.0 a, 1.1 b (note), 1.1 waybill'],
    [['Via: 1.1 not-waybill'], '1.1 not-waybill, 1.1 waybill'],
  ])('%j becomes %s', async (lines, via) => {
    await speak(front.port, request(lines), { enough: answered(1) })
    expect(upstream.seen[0]?.headers.via).toBe(via)
  })
  test.each([
    '1.1 waybill',
    '1.1 a, 1.1 waybill',
    '1.1 waybill, 1.1 a',
    '1.1 waybill (x)',
    'HTTP/1.1 waybill',
    '1.1\twaybill',
  ])('%s is a loop: 508', async (via) => {
    const { statuses } = await speak(front.port, request([`Via: ${via}`]), { enough: answered(1) })
    expect([statuses, upstream.seen]).toEqual([[508], []])
  })
  test('a front that is its own upstream answers once, and asks itself once', async () => {
    const loop = await startFront({ upstream: 'http://127.0.0.1:1' })
    const outer = await startFront({ upstream: loop.url })
    const inner = await startFront({ upstream: outer.url })
    const { statuses } = await speak(inner.port, request([]), { enough: answered(1) })
    expect(statuses).toEqual([508])
    expect([inner, outer, loop].map(({ records }) => records.length)).toEqual([1, 1, 0])
    for (const each of [inner, outer, loop]) await each.stop()
  })
})

test('H08 what says where a client comes from stays here', async () => {
  const lines = [
    'X-Forwarded-For: 192.0.2.1',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: b',
    'X-Forwarded-Port: 1',
    'X-Forwarded-Anything: 1',
    'Forwarded: for=192.0.2.1',
    'X-Real-IP: 192.0.2.1',
    'CF-Connecting-IP: 192.0.2.1',
    'True-Client-IP: 192.0.2.1',
    'Cookie: a=b',
    'Authorization: Bearer x',
  ]
  expect(await received(lines)).toEqual([])
  expect(Buffer.from(front.records.at(-1)?.address ?? []).toString('hex')).toBe(
    '00000000000000000000ffff7f000001',
  )
})

describe('H09 steps on the way', () => {
  const final = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  test.each([
    ['103', 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n', 200],
    ['102', 'HTTP/1.1 102 Processing\r\n\r\n', 200],
    [
      'several',
      'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n',
      200,
    ],
    ['100 that nobody asked for', 'HTTP/1.1 100 Continue\r\n\r\n', 200],
    [
      'all of them',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n',
      200,
    ],
    ['101', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n', 502],
  ])('%s: one answer, the final one', async (_name, steps, status) => {
    upstream.answer(path, { raw: steps + final })
    const { statuses } = await speak(front.port, request([]), { enough: answered(1) })
    expect(statuses).toEqual([status])
  })
  test('a hundred times over, by an upstream that always sends one', async () => {
    const own = await startFront({ upstream: upstream.url })
    upstream.answer(path, { rawKept: `HTTP/1.1 100 Continue\r\n\r\n${final}` })
    for (let round = 0; round < 20; round++) {
      const outcomes = await Promise.all(
        Array.from({ length: 5 }, () => speak(own.port, request([]), { enough: answered(1) })),
      )
      expect(outcomes.map(({ text }) => text.split('\r\n\r\n')[1])).toEqual(Array(5).fill(body))
    }
    await own.stop()
  })
  test('a 100 on a connection that is used again', async () => {
    const own = await startFront({ upstream: upstream.url })
    upstream.answer(path, [{ body }, { rawKept: `HTTP/1.1 100 Continue\r\n\r\n${final}` }])
    for (let round = 0; round < 2; round++) {
      const { text } = await speak(own.port, request([]), { enough: answered(1) })
      expect(text.endsWith(`\r\n\r\n${body}`)).toBe(true)
    }
    expect(upstream.seen.map(({ connection }) => connection === upstream.seen[0]?.connection)).toEqual([
      ...[true, true],
    ])
    await own.stop()
  })
  test('and then the end of the connection: 502', async () => {
    upstream.answer(path, { raw: 'HTTP/1.1 103 Early Hints\r\n\r\n' })
    const { statuses } = await speak(front.port, request([]), { enough: answered(1) })
    expect(statuses).toEqual([502])
  })
})

describe('H10 answers without a body', () => {
  const ping = 'GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n'
  test.each([
    ['HEAD with a length', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n', '12345'],
    ['HEAD without', 'HEAD', 'HTTP/1.1 200 OK\r\n\r\n', undefined],
    ['HEAD of an error', 'HEAD', 'HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\n', '7'],
    ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', undefined],
    ['204 with a length', 'GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', undefined],
    ['304', 'GET', 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', undefined],
    [
      '304 with a length',
      'GET',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 12345\r\nETag: "a"\r\n\r\n',
      undefined,
    ],
  ])('%s: the next answer on the connection is read as one', async (_name, method, raw, length) => {
    upstream.answer(path, { raw })
    const twoHeads = (text: string): boolean =>
      text.split('HTTP/1.1 ').length > 2 && text.endsWith('\r\n\r\n')
    const { text } = await speak(front.port, [request([], method)], {
      enough: (all) => all.includes('\r\n\r\n'),
    })
    expect(/\r\ncontent-length: (\d+)/i.exec(text)?.[1]).toBe(length)
    expect(text.endsWith('\r\n\r\n')).toBe(true)
    // On one connection: the ping comes when the first answer is there.
    const { connect } = await import('node:net')
    const both = await new Promise<string>((resolve) => {
      const socket = connect(front.port, '127.0.0.1', () => socket.write(request([], method)))
      let all = ''
      let pinged = false
      socket.on('data', (chunk) => {
        all += chunk.toString('latin1')
        if (!pinged && all.includes('\r\n\r\n')) {
          pinged = true
          socket.write(ping)
        }
        if (twoHeads(all) || /\{\}$/.test(all)) socket.destroy()
      })
      socket.on('close', () => resolve(all))
    })
    expect(both.split(/(?=HTTP\/1\.1 )/)[1]).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })
})

describe('H11 parts and conditions', () => {
  test('are asked for and answered as they came', async () => {
    upstream.answer(path, {
      status: 206,
      headers: { 'Content-Range': `bytes 2-4/${body.length}`, ETag: '"x"', 'Accept-Ranges': 'bytes' },
      body: body.slice(2, 5),
    })
    expect(await received(['Range: bytes=2-4', 'If-Range: "x"'])).toEqual([
      'range: bytes=2-4',
      'if-range: "x"',
    ])
    const { text, statuses } = await speak(front.port, request(['Range: bytes=2-4']), { enough: answered(1) })
    expect(statuses).toEqual([206])
    expect(text).toContain(`\r\nContent-Range: bytes 2-4/${body.length}\r\n`)
    expect(text.endsWith(`\r\n\r\n${body.slice(2, 5)}`)).toBe(true)
  })
  test('416 and several parts pass', async () => {
    upstream.answer(path, { status: 416, headers: { 'Content-Range': 'bytes */10' }, body: '{}' })
    const refused = await speak(front.port, request(['Range: bytes=99-']), { enough: answered(1) })
    expect(refused.statuses).toEqual([416])
    expect(refused.text).toContain('\r\nContent-Range: bytes */10\r\n')
    const parts =
      '--b\r\nContent-Range: bytes 0-0/10\r\n\r\nb\r\n--b\r\nContent-Range: bytes 2-2/10\r\n\r\no\r\n--b--\r\n'
    upstream.answer(path, {
      status: 206,
      headers: { 'Content-Type': 'multipart/byteranges; boundary=b' },
      body: parts,
    })
    const several = await speak(front.port, request(['Range: bytes=0-0,2-2']), {
      enough: (text) => text.endsWith('--b--\r\n'),
    })
    expect(several.statuses).toEqual([206])
    expect(several.text.endsWith(parts)).toBe(true)
  })
})

test.each(['OPTIONS', 'TRACE'])(
  'H12 %s with Max-Forwards is answered here, never forwarded',
  async (method) => {
    for (const hops of ['0', '1', '10']) {
      const { statuses } = await speak(front.port, request([`Max-Forwards: ${hops}`], method), {
        enough: answered(1),
      })
      expect([statuses, upstream.seen]).toEqual([[405], []])
    }
  },
)

test('H13 content is handed on as it is, whatever its coding', async () => {
  const lines = [
    'Content-Encoding: gzip',
    'Cache-Control: no-transform',
    'Content-Type: text/plain',
    'Content-MD5: x',
    'Repr-Digest: sha-256=:x:',
    `Docker-Content-Digest: ${blob}`,
  ]
  const answer = await handedBack(lines)
  expect(answer.lines).toEqual(lines)
  expect(answer.body).toBe(body)
})
