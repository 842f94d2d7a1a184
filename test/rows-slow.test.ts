/** Rows B01 to B07 of the catalogue of protocol safety: slow peers on both sides, over raw sockets. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createGate, type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { type FrontOptions, startFront, type TestFront } from './support/front.ts'
import { answered, speak } from './support/raw-client.ts'
import { startWaybill } from './support/waybill.ts'

const blob = `sha256:${'b'.repeat(64)}`
const path = `/v2/app/blobs/${blob}`
const get = (target = path): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`
const mebi = 1024 * 1024
/** More than all buffers hold. */
const large = randomBytes(64 * mebi)

let upstream: FaultUpstream
const fronts: TestFront[] = []

async function front(options: Partial<FrontOptions> = {}): Promise<TestFront> {
  const started = await startFront({ upstream: upstream.url, idleMs: 3_600_000, ...options })
  fronts.push(started)
  return started
}

beforeAll(async () => {
  upstream = await startFaultUpstream()
})
afterAll(async () => {
  for (const each of fronts) await each.stop()
  await upstream.stop()
})

/** Memory of a process that is in RAM. */
function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

type Reading = { bytes: number; closed: boolean; tookMs: number }

/** Takes no more than `rate` bytes a second from its socket; ends when `wanted` have come or the front has closed. */
function readSlowly(port: number, target: string, rate: number, wanted: number): Promise<Reading> {
  return new Promise((resolve) => {
    const startedMs = performance.now()
    const socket = connect({ port, host: '127.0.0.1', highWaterMark: 4096 } as never, () =>
      socket.write(get(target)),
    )
    let bytes = 0
    const finish = (closed: boolean): void => {
      clearInterval(timer)
      socket.destroy()
      resolve({ bytes, closed, tookMs: performance.now() - startedMs })
    }
    // Read only when the rate allows it: what is not read stays in the kernel, and then on the front's side.
    const timer = setInterval(() => {
      while (bytes < ((performance.now() - startedMs) / 1000) * rate) {
        const chunk = socket.read(Math.min(4096, socket.readableLength || 4096)) as Buffer | null
        if (chunk === null) break
        bytes += chunk.length
      }
      if (bytes >= wanted) finish(false)
    }, 50)
    socket.on('readable', () => undefined)
    socket.on('error', () => undefined)
    socket.on('end', () => finish(true))
    socket.on('close', () => finish(true))
  })
}

// They wait, and little else: the runner's five at once would wait one after another.
vi.setConfig({ maxConcurrency: 16 })

describe.concurrent('slow peers, all at once as they take real time', () => {
  // The longest ones first.
  test('B06 an upstream that falls silent in its body is cut off after a minute at most', {
    timeout: 100_000,
  }, async () => {
    const gate = createGate()
    const target = `/v2/silent/blobs/${blob}`
    upstream.answer(target, { body: randomBytes(1000), bytesFirst: 500, bodyAfter: gate.opened })
    const slow = await front()
    const { closed, statuses, tookMs } = await speak(slow.port, get(target), { timeoutMs: 80_000 })
    expect([closed, statuses]).toEqual([true, [200]])
    expect(tookMs).toBeLessThan(75_000)
    expect(slow.records[0]).toMatchObject({ aborted: true, bytesSent: 500 })
    gate.release()
  })

  test.each([10, 20, 50, 100, 200])(
    'B02 at %i KB/s with more than all buffers hold it goes on, too',
    { timeout: 120_000 },
    async (rate) => {
      const slow = await front()
      const target = `/v2/slow${rate}/blobs/${blob}`
      upstream.answer(target, { body: large })
      // Not to its end: for six times as long as uWebSockets.js gives a write.
      const seconds = 65
      const { closed, bytes } = await readSlowly(slow.port, target, rate * 1000, rate * 1000 * seconds)
      expect([closed, bytes >= rate * 1000 * seconds]).toEqual([false, true])
    },
  )

  test('B01 two hundred slow readers of 1 GiB cost little memory, and their upstream waits', {
    timeout: 120_000,
  }, async () => {
    const size = 1024 * mebi
    const target = `/v2/many/blobs/${blob}`
    let sent = 0
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        const chunk = Buffer.alloc(64 * 1024)
        let left = size
        const fill = (): void => {
          while (left > 0) {
            left -= chunk.length
            sent += chunk.length
            if (!socket.write(chunk)) return void socket.once('drain', fill)
          }
        }
        fill()
      })
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    const { port } = server.address() as { port: number }
    // A process of its own: the memory is that of the front alone.
    const many = await startWaybill({
      args: ['--upstream', `http://127.0.0.1:${port}`, '--auth', 'open', '--blobs', 'stream'],
    })
    const before = residentBytes(many.pid)
    const [clients, rate, seconds] = [200, 50_000, 20]
    const readings = Array.from({ length: clients }, () =>
      readSlowly(Number(many.host.split(':')[1]), target, rate, rate * seconds),
    )
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, residentBytes(many.pid))
    }, 200)
    const outcomes = await Promise.all(readings)
    clearInterval(watch)
    expect(outcomes.filter(({ bytes, closed }) => closed || bytes < rate * seconds)).toEqual([])
    // What the kernel holds for each, some MiB on either side, is no memory of the process.
    expect(sent).toBeLessThan(clients * 16 * mebi)
    expect(most - before).toBeLessThan(clients * 256 * 1024 + 64 * mebi)
    expect(await many.stop()).toBe(0)
    server.close()
  })

  test('B02 a client at 5 KB/s downloads 200 KB whole', { timeout: 90_000 }, async () => {
    const slow = await front()
    const target = `/v2/slow/blobs/${blob}`
    upstream.answer(target, { body: large.subarray(0, 200_000) })
    const { bytes } = await readSlowly(slow.port, target, 5000, 200_000)
    expect(bytes).toBeGreaterThanOrEqual(200_000)
    await vi.waitFor(() => expect(slow.records.at(-1)).toMatchObject({ bytesSent: 200_000, aborted: false }))
  })

  test.each([
    ['B02 a client below the least rate', 20],
    ['B03 a client that reads nothing', 0],
  ])('%s is cut off in bounded time, and the record says so', { timeout: 90_000 }, async (_name, rate) => {
    const minRateBytes = 512 * 1024
    const slow = await front({ limits: { minRateBytes } })
    const target = `/v2/cut${rate}/blobs/${blob}`
    upstream.answer(target, { body: large })
    void readSlowly(slow.port, target, rate * 1000, Number.POSITIVE_INFINITY)
    await vi.waitFor(() => expect(slow.records).toHaveLength(1), { timeout: 60_000, interval: 100 })
    const [record] = slow.records
    expect(record).toMatchObject({ status: 200, aborted: true })
    expect(record?.bytesSent).toBeGreaterThan(0)
    expect(record?.bytesSent).toBeLessThan(64 * mebi)
    expect(record?.durationMs).toBeLessThan(45_000)
    await vi.waitFor(() => expect(upstream.seen.find(({ url }) => url === target)?.aborted).toBe(true))
  })

  test('B03 a whole answer that nobody reads leaves nothing behind', { timeout: 60_000 }, async () => {
    const slow = await front()
    const target = `/v2/unread/blobs/${blob}`
    upstream.answer(target, { body: large.subarray(0, 1000) })
    const socket = connect(slow.port, '127.0.0.1', () => socket.write(get(target)))
    await vi.waitFor(() => expect(slow.records).toHaveLength(1), { timeout: 10_000 })
    expect(slow.proxy.active()).toBe(0)
    socket.destroy()
  })

  test('B04 two thousand heads that never end are closed, and others served as before', {
    timeout: 120_000,
  }, async () => {
    const slow = await startWaybill({ args: ['--upstream', upstream.url, '--auth', 'open'] })
    const port = Number(slow.host.split(':')[1])
    const times = async (isOver: (count: number) => boolean): Promise<number[]> => {
      const took: number[] = []
      while (!isOver(took.length)) {
        const { statuses, tookMs } = await speak(port, get('/v2/'), { enough: answered(1), timeoutMs: 5000 })
        expect(statuses).toEqual([200])
        took.push(tookMs)
        await delay(2)
      }
      return took.sort((a, b) => a - b)
    }
    const percentile = (sorted: number[], part: number): number =>
      sorted[Math.floor(sorted.length * part)] ?? 0
    const alone = await times((count) => count === 1000)

    const count = 2000
    const lived: number[] = []
    const drips: NodeJS.Timeout[] = []
    const open = (): Promise<void> =>
      new Promise((opened) => {
        const socket = connect(port, '127.0.0.1', () => {
          const openedMs = performance.now()
          socket.write('GET /v2/ HTTP/1.1\r\nHost: a\r\nX: ')
          drips.push(setInterval(() => socket.write('x'), 3000))
          socket.on('close', () => lived.push(performance.now() - openedMs))
          opened()
        })
        socket.on('error', () => undefined)
        socket.on('data', () => undefined)
      })
    // No more at once than wait in the listener's queue: a packet that is dropped there says nothing of the front.
    for (let opened = 0; opened < count; opened += 100) await Promise.all(Array.from({ length: 100 }, open))
    const startedMs = performance.now()
    const among = await times(() => lived.length === count || performance.now() - startedMs > 40_000)
    for (const drip of drips) clearInterval(drip)
    expect(lived).toHaveLength(count)
    expect(Math.max(...lived)).toBeLessThan(20_000)
    expect(percentile(among, 0.99)).toBeLessThan(2 * percentile(alone, 0.99) + 25)
    expect(await slow.stop()).toBe(0)
  })

  test('B05 a connection without a request, or between two, ends by itself', {
    timeout: 60_000,
  }, async () => {
    const slow = await front()
    const silent = await speak(slow.port, [])
    const kept = speak(slow.port, get('/v2/'))
    expect([silent.closed, silent.text]).toEqual([true, ''])
    const after = await kept
    expect([after.closed, after.statuses]).toEqual([true, [200]])
    for (const { tookMs } of [silent, after]) {
      expect(tookMs).toBeGreaterThan(7_000)
      expect(tookMs).toBeLessThan(20_000)
    }
  })

  describe('B06 an upstream that', () => {
    const raw = async (react: (socket: Socket) => void) => {
      const server = createServer((socket) => {
        socket.on('error', () => undefined)
        react(socket)
      })
      await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
      const { port } = server.address() as { port: number }
      return { url: `http://127.0.0.1:${port}`, stop: () => server.close() }
    }
    test.each([
      ['accepts, and never answers', () => undefined],
      ['stops in its head', (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\nX: ')],
      [
        'dribbles its head',
        (socket: Socket) => {
          socket.write('HTTP/1.1 200 OK\r\nX: ')
          const timer = setInterval(() => socket.write('x'), 200)
          socket.on('close', () => clearInterval(timer))
        },
      ],
    ])('%s: 504', { timeout: 40_000 }, async (_name, react) => {
      const hanging = await raw(react)
      const slow = await front({ upstream: hanging.url, limits: { firstByteTimeoutMs: 1000 } })
      const targets = [path, '/v2/app/manifests/1.0', '/v2/app/tags/list']
      const outcomes = await Promise.all(
        targets.map((target) => speak(slow.port, get(target), { enough: answered(1) })),
      )
      for (const { statuses, tookMs } of outcomes) {
        expect(statuses).toEqual([504])
        expect(tookMs).toBeLessThan(10_000)
      }
      expect(slow.proxy.active()).toBe(0)
      hanging.stop()
    })
    test('is not there, as far as packets go: 504', { timeout: 40_000 }, async () => {
      // A listener whose queue is full answers no SYN: the same as an address that swallows them.
      const full = await raw(() => undefined)
      full.stop()
      const slow = await front({ upstream: 'http://192.0.2.1:81', limits: { firstByteTimeoutMs: 1000 } })
      const { statuses, tookMs } = await speak(slow.port, get(), { enough: answered(1) })
      expect([502, 504]).toContain(statuses[0])
      expect(tookMs).toBeLessThan(8000)
    })
    test('gives a token never: an answer all the same', { timeout: 40_000 }, async () => {
      const gate = createGate()
      const realm = await startFaultUpstream()
      realm.answer('/auth', { headAfter: gate.opened })
      realm.answer(path, { status: 401, headers: { 'WWW-Authenticate': `Bearer realm="${realm.url}/auth"` } })
      const slow = await front({ upstream: realm.url, limits: { firstByteTimeoutMs: 1000 } })
      const { statuses, tookMs } = await speak(slow.port, get(), { enough: answered(1) })
      expect(statuses[0]).toBeGreaterThanOrEqual(400)
      expect(tookMs).toBeLessThan(8000)
      gate.release()
      await realm.stop()
    })
    test('takes longer than a request may: cut off', { timeout: 40_000 }, async () => {
      const target = `/v2/endless/blobs/${blob}`
      const endless = await raw((socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n')
        const timer = setInterval(() => socket.write('x'), 50)
        socket.on('close', () => clearInterval(timer))
      })
      const slow = await front({ upstream: endless.url, limits: { requestTimeoutMs: 2000 } })
      const { closed, statuses, tookMs } = await speak(slow.port, get(target))
      expect([closed, statuses]).toEqual([true, [200]])
      expect(tookMs).toBeLessThan(6000)
      endless.stop()
    })
  })

  test.each(['close', 'reset'] as const)(
    'B07 an upstream that dies (%s) while its client reads nothing is noticed',
    { timeout: 90_000 },
    async (how) => {
      const slow = await front({ limits: { minRateBytes: 64 * 1024 } })
      const target = `/v2/dead${how}/blobs/${blob}`
      upstream.answer(target, { body: large, breakAt: { bytes: 40 * mebi, how } })
      const socket = connect(slow.port, '127.0.0.1', () => socket.write(get(target)))
      socket.on('error', () => undefined)
      await vi.waitFor(() => expect(slow.records).toHaveLength(1), { timeout: 60_000, interval: 100 })
      expect(slow.records[0]).toMatchObject({ status: 200, aborted: true })
      expect(slow.proxy.active()).toBe(0)
      socket.destroy()
    },
  )
})
