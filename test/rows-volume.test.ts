/**
 * Rows R07, R09 and R11 of the catalogue of protocol safety, which count by thousands: downloads by clients that stall
 * or leave, and pulls by real clients over a line that breaks.
 */
import { createHash, randomBytes, randomInt } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Client, startClient } from './support/clients.ts'
import { type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { startFront, type TestFront } from './support/front.ts'
import type { Image, PlatformImage } from './support/image.ts'
import { freePort } from './support/processes.ts'
import { asRoot } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'

const mebi = 1024 * 1024
const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Works off `count` jobs, so many at once. */
async function atOnce(workers: number, count: number, job: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const work = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await job(index)
  }
  await Promise.all(Array.from({ length: workers }, work))
}

/** Reads a blob over a socket that now and then stops reading; gives the digest of the body. */
function download(port: number, target: string, size: number, stalls: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(get(target)))
    const hash = createHash('sha256')
    let head: Buffer | null = Buffer.alloc(0)
    let left = size
    socket.setTimeout(20_000, () => reject(new Error('stalled')))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed with ${left} bytes to come`)))
    socket.on('data', (chunk) => {
      let part: Buffer = chunk
      if (head) {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        part = head.subarray(end + 4)
        head = null
      }
      hash.update(part)
      left -= part.length
      if (left === 0) {
        socket.removeAllListeners('close')
        socket.destroy()
        resolve(`sha256:${hash.digest('hex')}`)
      } else if (stalls > 0 && randomInt(20) === 0) {
        stalls--
        socket.pause()
        setTimeout(() => socket.resume(), randomInt(30))
      }
    })
  })
}

describe('ten thousand', () => {
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
    front.records.length = 0
  })
  afterEach(() => expect(front.proxy.active()).toBe(0))

  test('R07 downloads by clients that stall have the right digest', { timeout: 240_000 }, async () => {
    const count = 10_000
    const edges = [0, 1, 2, 65_535, 65_536, 65_537, 16 * mebi, 64 * mebi]
    // As many of any order of magnitude: 64 KiB on average.
    const sizes = Array.from({ length: count }, (_, at) => edges[at] ?? Math.floor(2 ** (Math.random() * 20)))
    const source = randomBytes(65 * mebi)
    await atOnce(32, count, async (at) => {
      const size = sizes[at] as number
      const from = randomInt(source.length - size)
      const body = source.subarray(from, from + size)
      const digest = digestOf(body)
      upstream.answer(`/v2/app/blobs/${digest}`, { body })
      expect(await download(front.port, `/v2/app/blobs/${digest}`, size, 20)).toBe(digest)
    })
    expect(front.records).toHaveLength(count)
    expect(front.records.filter(({ aborted }) => aborted)).toEqual([])
  })

  test('R07 a blob of 1 GiB, by a client that stalls', { timeout: 120_000 }, async () => {
    const piece = randomBytes(mebi)
    const pieces = 1024
    const whole = createHash('sha256')
    for (let at = 0; at < pieces; at++) whole.update(piece)
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${pieces * mebi}\r\n\r\n`)
        let left = pieces
        const fill = (): void => {
          while (left-- > 0) if (!socket.write(piece)) return void socket.once('drain', fill)
        }
        fill()
      })
    })
    const port = await freePort()
    await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening))
    const large = await startFront({ upstream: `http://127.0.0.1:${port}` })
    const digest = `sha256:${whole.digest('hex')}`
    const target = `/v2/app/blobs/${digest}`
    expect(await download(large.port, target, pieces * mebi, 200)).toBe(digest)
    await large.stop()
    server.close()
  })

  test('R09 clients that leave at any byte: the upstream is let go, and the records say so', {
    timeout: 240_000,
  }, async () => {
    const count = 10_000
    const bytesFirst = 300_000
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${mebi}\r\n\r\n`
    const first = Buffer.concat([Buffer.from(head), randomBytes(bytesFirst)])
    let asked = 0
    let held = 0
    // The rest never comes, so that only the client's leaving can end an answer.
    const server = createServer((socket) => {
      held++
      socket.on('error', () => undefined)
      socket.on('close', () => held--)
      socket.once('data', () => {
        asked++
        socket.write(first)
      })
    })
    const port = await freePort()
    await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening))
    const left = await startFront({ upstream: `http://127.0.0.1:${port}` })
    const target = `/v2/app/blobs/${digestOf(first)}`
    const leave = (leaveAt: number): Promise<void> =>
      new Promise((resolve) => {
        let got = 0
        const socket = connect(left.port, '127.0.0.1', () => {
          socket.write(get(target))
          if (leaveAt < 100) socket.destroy()
        })
        socket.on('data', (chunk) => {
          got += chunk.length
          if (got >= leaveAt) socket.destroy()
        })
        socket.on('close', () => resolve())
        socket.on('error', () => undefined)
      })
    const openFiles = (): number => readdirSync('/proc/self/fd').length
    const settled = async (): Promise<void> => {
      // Within a second of the last one to leave.
      const soon = { timeout: 1000, interval: 20 }
      await vi.waitFor(() => expect([left.proxy.active(), held]).toEqual([0, 0]), soon)
    }
    // Of all sizes alike, up to all that comes.
    const leaveAt = (): number => Math.floor(bytesFirst ** Math.random())
    await atOnce(32, 500, () => leave(leaveAt()))
    await settled()
    const before = { files: openFiles(), rss: process.memoryUsage.rss() }
    await atOnce(32, count - 500, () => leave(leaveAt()))
    await settled()
    expect(openFiles()).toBeLessThanOrEqual(before.files + 2)
    expect(process.memoryUsage.rss() - before.rss).toBeLessThan(100 * mebi)
    expect(left.records).toHaveLength(asked)
    expect(asked).toBeGreaterThan(count / 2)
    const odd = left.records.filter(({ aborted, bytesSent }) => !aborted || bytesSent > bytesFirst)
    expect(odd).toEqual([])
    await left.stop()
    server.close()
  })
})

type Cutter = { host: string; cuts(): number; stop(): void }

/** Hands connections on and ends each after so many bytes of answers. */
async function startCutter(to: number, bytes: number): Promise<Cutter> {
  let cuts = 0
  const server = createServer((client) => {
    const inner = connect(to, '127.0.0.1')
    let left = bytes
    client.on('error', () => inner.destroy())
    inner.on('error', () => client.destroy())
    client.on('close', () => inner.destroy())
    inner.on('close', () => client.end())
    client.pipe(inner)
    inner.on('data', (chunk) => {
      if (chunk.length >= left) {
        cuts++
        client.end(chunk.subarray(0, left))
        inner.destroy()
        return
      }
      left -= chunk.length
      if (client.write(chunk)) return
      inner.pause()
      client.once('drain', () => inner.resume())
    })
  })
  const port = await freePort()
  await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening))
  return { host: `127.0.0.1:${port}`, cuts: () => cuts, stop: () => server.close() }
}

describe.runIf(asRoot)('R11 a pull over a line that breaks every 8 MiB is whole', () => {
  let registry: Registry
  let image: Image
  beforeAll(async () => {
    registry = await startRegistry()
    image = await pushImage(registry, 'team/app', '1.0', { single: true, layers: 2, layerBytes: 20 * mebi })
  })
  afterAll(() => registry.stop())

  const pullOver = async (client: Client, cutter: Cutter) => client.pull(`${cutter.host}/team/app:1.0`)
  const whole = async (client: Client, reference: string): Promise<boolean> => {
    const arrived = await client.arrived(reference)
    const [{ layers, diffIds }] = image.images as [PlatformImage]
    // As they were sent or as they were unpacked.
    return layers.every(({ digest }, at) => arrived.has(digest) || arrived.has(diffIds[at] ?? ''))
  }

  test.concurrent.for(['docker', 'containerd'] as const)(
    '%s',
    { timeout: 120_000 },
    async (name, { onTestFinished }) => {
      const front = await startFront({ upstream: registry.url, blobs: 'stream' })
      const cutter = await startCutter(front.port, 8 * mebi)
      const client = await startClient(name, { plain: [cutter.host] })
      onTestFinished(async () => {
        await client.stop()
        cutter.stop()
        await front.stop()
      })
      const pulled = await pullOver(client, cutter)
      expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
      expect(await whole(client, `${cutter.host}/team/app:1.0`)).toBe(true)
      // Two of each layer, and each goes on where the one before it broke off.
      const parts = front.records.filter(({ class: kind, status }) => kind === 'blob' && status === 206)
      expect([cutter.cuts() >= 4, parts.length >= 4]).toEqual([true, true])
      expect(parts.filter(({ range }) => !/^bytes=[1-9]\d*-$/.test(range))).toEqual([])
    },
  )

  // Debian 12's give a layer up at the first break, on a line to the registry itself as well.
  test.concurrent.for(['podman', 'buildah', 'skopeo'] as const)(
    '%s, which asks for no part of a layer: it says so, as it does of the registry itself',
    { timeout: 120_000 },
    async (name, { onTestFinished }) => {
      const front = await startFront({ upstream: registry.url, blobs: 'stream' })
      const direct = await startCutter(Number(registry.host.split(':')[1]), 8 * mebi)
      const cutter = await startCutter(front.port, 8 * mebi)
      const steady = `127.0.0.1:${front.port}`
      const client = await startClient(name, { plain: [direct.host, cutter.host, steady] })
      onTestFinished(async () => {
        await client.stop()
        for (const each of [direct, cutter]) each.stop()
        await front.stop()
      })
      for (const each of [direct, cutter]) {
        const pulled = await pullOver(client, each)
        expect([pulled.code === 0, /unexpected EOF/.test(pulled.stderr), each.cuts() > 0]).toEqual([
          ...[false, true, true],
        ])
      }
      expect(front.records.some(({ aborted, class: kind }) => aborted && kind === 'blob')).toBe(true)
      expect(await client.pull(`${steady}/team/app:1.0`)).toMatchObject({ code: 0 })
      expect(await whole(client, `${steady}/team/app:1.0`)).toBe(true)
    },
  )
})
