/** Rows R01 to R10 of the catalogue of protocol safety: no broken answer looks whole, over raw sockets. */
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { startFront, type TestFront } from './support/front.ts'
import { freePort } from './support/processes.ts'
import { answered, speak } from './support/raw-client.ts'

const body = randomBytes(200_000)
const blob = digestOf(body)
const path = `/v2/app/blobs/${blob}`
const get = (target = path): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`

let upstream: FaultUpstream
let front: TestFront

function digestOf(bytes: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

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
  front.records.length = 0
})
afterEach(() => expect(front.proxy.active()).toBe(0))

/** The client sees one head and less than all, and the end; the record says the same. */
async function expectBroken(sized = true): Promise<void> {
  const { text, closed, statuses } = await speak(front.port, get(), {
    enough: (all) => all.startsWith('HTTP/1.1 502 ') && answered(1)(all),
  })
  // Nothing had been sent on when it broke.
  if (!sized && statuses[0] === 502) return
  expect([statuses, closed]).toEqual([[200], true])
  const [head = '', ...rest] = text.split('\r\n\r\n')
  const sent = rest.join('\r\n\r\n')
  if (sized) {
    expect(head).toContain(`\r\nContent-Length: ${body.length}`)
    expect(sent.length).toBeLessThan(body.length)
  } else {
    expect(head.toLowerCase()).toContain('\r\ntransfer-encoding: chunked')
    expect(text.endsWith('0\r\n\r\n')).toBe(false)
  }
  expect(text).not.toContain('errors')
  await vi.waitFor(() => expect(front.records).toHaveLength(1))
  expect(front.records[0]).toMatchObject({ aborted: true, status: 200 })
}

const portions = [1, 2, body.length / 2, body.length - 1]

describe('R01 R06 a body that ends before its length', () => {
  for (const how of ['close', 'reset'] as const) {
    test.each(portions)(`${how} after %i bytes: short, and the end`, async (bytes) => {
      upstream.answer(path, { body, breakAt: { bytes, how } })
      await expectBroken()
      expect(front.records[0]?.bytesSent).toBeLessThan(body.length)
    })
    test(`${how} before any byte of it: 502`, async () => {
      for (const bytes of [-1, 0]) {
        upstream.answer(path, { body, breakAt: { bytes, how } })
        const { statuses } = await speak(front.port, get(), { enough: answered(1) })
        expect(statuses).toEqual([502])
      }
    })
  }
})

describe('R02 chunks that break off', () => {
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
  const chunk = `${(1000).toString(16)}\r\n${'x'.repeat(1000)}\r\n`
  test.each([
    ['no last chunk', `${head}${chunk}`],
    ['in the middle of one', `${head}${chunk}${chunk.slice(0, 500)}`],
    ['a size that is none', `${head}${chunk}zz\r\nabc\r\n`],
    ['a size that is not followed by its bytes', `${head}${chunk}5\r\nabcdefgh\r\n0\r\n\r\n`],
    ['an empty line too few', `${head}${chunk}0\r\n`],
  ])('%s', async (_name, raw) => {
    upstream.answer(path, { raw })
    await expectBroken(false)
  })
  test('a reset', async () => {
    upstream.answer(path, {
      body,
      headers: { 'Content-Length': null },
      breakAt: { bytes: 100_000, how: 'reset' },
    })
    await expectBroken(false)
  })
})

describe('R03 a body that only the end of the connection ends', () => {
  const serve = (bytes: Uint8Array, how: 'end' | 'reset') =>
    new Promise<{ port: number; stop(): void }>((resolve) => {
      const server = createServer((socket) => {
        socket.on('error', () => undefined)
        socket.once('data', () => {
          socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n')
          socket.write(bytes, () =>
            how === 'end' ? socket.end() : setTimeout(() => socket.resetAndDestroy(), 50),
          )
        })
      })
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address() as { port: number }
        resolve({ port, stop: () => server.close() })
      })
    })
  const ask = async (bytes: Uint8Array, how: 'end' | 'reset', target: string) => {
    const raw = await serve(bytes, how)
    const asker = await startFront({ upstream: `http://127.0.0.1:${raw.port}` })
    const outcome = await speak(asker.port, get(target), {
      enough: (text) => text.endsWith('\r\n0\r\n\r\n') || (answered(1)(text) && !/chunked/i.test(text)),
    })
    await vi.waitFor(() => expect(asker.records).toHaveLength(1))
    const [record] = asker.records
    await asker.stop()
    raw.stop()
    return { ...outcome, record }
  }
  test('a blob that is whole by its digest is whole', async () => {
    const { statuses, text, record } = await ask(body, 'end', path)
    expect([statuses, text.endsWith('\r\n0\r\n\r\n'), record?.aborted]).toEqual([[200], true, false])
  })
  test.each(['end', 'reset'] as const)('a blob that is not is cut off: %s', async (how) => {
    const { statuses, text, closed, record } = await ask(body.subarray(0, 100_000), how, path)
    expect([statuses, text.endsWith('\r\n0\r\n\r\n'), closed, record?.aborted]).toEqual([
      [200],
      false,
      true,
      true,
    ])
  })
  test.each([
    ['a list', '/v2/app/tags/list'],
    ['referrers', `/v2/app/referrers/${blob}`],
    ['a manifest by its tag, without a digest', '/v2/app/manifests/1.0'],
  ])('%s cannot be told whole: 502', async (_name, target) => {
    const { statuses } = await ask(Buffer.from('{"name":"app"'), 'reset', target)
    expect(statuses).toEqual([502])
  })
})

test('R04 more than was announced is dropped, and that connection not used again', async () => {
  const raw =
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
  upstream.answer(path, { raw })
  const { text } = await speak(front.port, get(), { enough: answered(1) })
  expect(text.endsWith('\r\n\r\nhello')).toBe(true)
  upstream.answer(path, { body: 'next' })
  const next = await speak(front.port, get(), { enough: answered(1) })
  expect(next.text.endsWith('\r\n\r\nnext')).toBe(true)
  expect(new Set(upstream.seen.map(({ connection }) => connection)).size).toBe(2)
})

describe('R05 answers that are none', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, at) => `X-${at}: a`).join('\r\n')
  test.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na'],
    [
      'length and coding',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
    ],
    ['bare line ends', 'HTTP/1.1 200 OK\nContent-Length: 1\n\na'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 1\r\n\r\na'],
    ['NUL in a value', 'HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 1\r\n\r\na'],
    ['a blank before the colon', 'HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 1\r\n\r\na'],
    ['status 999', 'HTTP/1.1 999 What\r\nContent-Length: 1\r\n\r\na'],
    ['status 600', 'HTTP/1.1 600 What\r\nContent-Length: 1\r\n\r\na'],
    ['status 99', 'HTTP/1.1 99 What\r\nContent-Length: 1\r\n\r\na'],
    ['no HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['nothing', ''],
    ['fields of 17 KiB', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(17 * 1024)}\r\nContent-Length: 1\r\n\r\na`],
    ['fields of 64 KiB', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(64 * 1024)}\r\nContent-Length: 1\r\n\r\na`],
    ['a hundred fields', `HTTP/1.1 200 OK\r\n${lines(100)}\r\nContent-Length: 1\r\n\r\na`],
  ])('%s: 502, and that connection not used again', async (_name, raw) => {
    for (const target of [path, '/v2/app/manifests/1.0', '/v2/app/tags/list']) {
      upstream.answer(target, { raw })
      const { statuses } = await speak(front.port, get(target), { enough: answered(1) })
      expect([target, statuses]).toEqual([target, [502]])
    }
    await vi.waitFor(() => expect(upstream.connections()).toBe(0))
  })
  test('ninety fields are handed on', async () => {
    upstream.answer(path, { raw: `HTTP/1.1 200 OK\r\n${lines(90)}\r\nContent-Length: 1\r\n\r\na` })
    const { text } = await speak(front.port, get(), { enough: answered(1) })
    expect(text).toContain('\r\nX-89: a\r\n')
  })
})

describe('R08 however the upstream cuts its body', () => {
  test('one byte at a time, and sixteen MiB at once', { timeout: 60_000 }, async () => {
    const small = randomBytes(3000)
    const large = randomBytes(16 * 1024 * 1024)
    const server = createServer({ noDelay: true }, (socket) => {
      socket.on('error', () => undefined)
      socket.on('data', async (head) => {
        const isSmall = head.includes('small')
        const bytes = isSmall ? small : large
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n\r\n`)
        if (!isSmall) return void socket.write(bytes)
        for (const byte of bytes) {
          socket.write(Buffer.of(byte))
          if (byte % 8 === 0) await new Promise(setImmediate)
        }
      })
    })
    const port = await freePort()
    await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening))
    const cut = await startFront({ upstream: `http://127.0.0.1:${port}` })
    for (const [name, bytes] of [
      ['small', small],
      ['large', large],
    ] as const) {
      const answer = await fetch(`${cut.url}/v2/${name}/blobs/${blob}`)
      expect(digestOf(new Uint8Array(await answer.arrayBuffer()))).toBe(digestOf(bytes))
    }
    await cut.stop()
    server.close()
  })
  test('an empty body', async () => {
    const empty = digestOf('')
    for (const headers of [{}, { 'Content-Length': null }]) {
      upstream.answer(`/v2/app/blobs/${empty}`, { body: '', headers })
      const answer = await fetch(`${front.url}/v2/app/blobs/${empty}`)
      expect([answer.status, (await answer.arrayBuffer()).byteLength]).toEqual([200, 0])
    }
  })
})

test('R10 an answer followed by the end of a connection that was to be kept is whole; the next one is new', async () => {
  const raw =
    'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=60\r\nContent-Length: 5\r\n\r\nhello'
  upstream.answer(path, { raw })
  for (let round = 0; round < 20; round++) {
    const { text } = await speak(front.port, get(), { enough: answered(1) })
    expect(text.endsWith('\r\n\r\nhello')).toBe(true)
  }
  expect(new Set(upstream.seen.map(({ connection }) => connection)).size).toBe(20)
})
