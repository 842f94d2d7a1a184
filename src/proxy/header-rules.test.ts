import { expect, test } from 'vitest'
import { headOf } from './answer-head.ts'
import { readRequest } from './request.ts'
import type { Head } from './server.ts'

/** A small generator of our own, so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function head(headers: string[], changes: Partial<Head> = {}): Head {
  const peer = new ArrayBuffer(4)
  return { method: 'GET', path: '/v2/', query: '', headers, peer, passenger: null, tls: false, ...changes }
}

const hopByHop =
  'connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade'
const notUp = `${hopByHop} host content-length expect via authorization cookie forwarded x-real-ip x-client-ip true-client-ip cf-connecting-ip fastly-client-ip`
const notDown = `${hopByHop} date content-length set-cookie strict-transport-security public-key-pins alt-svc www-authenticate location link`
const protectedNames = /^(?:host|authorization|range|accept|cache-control|if-.*|content-.*)$/
const names = [
  ...new Set(
    `${notUp} ${notDown} x-forwarded-for x-forwarded-anything accept accept-encoding range if-range if-none-match user-agent x-a x-b etag docker-content-digest content-type content-range server warning`.split(
      ' ',
    ),
  ),
]

type Line = [name: string, value: string]

/** The rules once more, as slowly and plainly as they can be said. */
function naive(lines: Line[], dropped: string[], prefix: string): Line[] | null {
  const nominated = lines
    .filter(([name]) => name === 'connection')
    .flatMap(([, value]) => value.split(','))
    .map((part) => part.trim().toLowerCase())
    .filter((part) => part !== '' && part !== 'close' && part !== 'keep-alive')
  if (nominated.some((name) => protectedNames.test(name))) return null
  return lines.filter(
    ([name]) =>
      !dropped.includes(name) && !(prefix !== '' && name.startsWith(prefix)) && !nominated.includes(name),
  )
}

function randomLines(random: () => number): Line[] {
  const pick = (): string => names[Math.floor(random() * names.length)] as string
  return Array.from({ length: Math.floor(random() * 12) }, () => {
    const name = random() < 0.2 ? 'connection' : pick()
    const options = ['close', 'keep-alive', pick(), 'X-A', ' x-b ', '', pick().toUpperCase()]
    const value = Array.from(
      { length: 1 + Math.floor(random() * 3) },
      () => options[Math.floor(random() * options.length)],
    ).join(',')
    return [name, name === 'connection' ? value : `v${Math.floor(random() * 10)}`]
  })
}

test('what goes upstream is what the plain rules say', () => {
  const random = seeded(7)
  let refused = 0
  for (let round = 0; round < 5000; round++) {
    const lines = randomLines(random).filter(
      ([name]) => !['host', 'authorization', 'content-length', 'transfer-encoding', 'via'].includes(name),
    )
    const read = readRequest(head(['host', 'a', ...lines.flat()]))
    const expected = naive(lines, notUp.split(' '), 'x-forwarded-')
    if (expected === null) refused++
    expect(read.malformed).toBe(expected === null)
    if (expected) expect(read.upstreamHeaders).toEqual([...expected.flat(), 'via', '1.1 waybill'])
  }
  expect(refused).toBeGreaterThan(100)
})

test('what comes down is what the plain rules say', () => {
  const random = seeded(8)
  for (let round = 0; round < 5000; round++) {
    const lines = randomLines(random)
    const block = headOf(200, lines.map(([name, value]) => `${name}: ${value}`).join('\r\n')).block()
    const got = (block?.toString('latin1') ?? '').split('\r\n').slice(1)
    // An upstream may nominate what it likes: only a name that would be refused from a client is passed over.
    const parts = lines.filter(([name]) => name === 'connection').flatMap(([, value]) => value.split(','))
    const usable = parts.filter((value) => naive([['connection', value]], [], '') !== null)
    const others = lines.filter(([name]) => name !== 'connection')
    const expected = naive([...others, ['connection', usable.join(',')]], notDown.split(' '), '') ?? []
    expect(got).toEqual(expected.map(([name, value]) => `${name}: ${value}`))
  }
})

test('P16 whatever comes, the validators answer at once, and what they let pass is sound', () => {
  const random = seeded(9)
  const seeds: [string, string, string, string[]][] = [
    [
      'GET',
      '/v2/team/app/manifests/1.0',
      'n=1',
      ['host', 'cr.example.io:443', 'accept', 'a/b', 'range', 'bytes=0-1'],
    ],
    [
      'HEAD',
      '/v2/a/blobs/sha256:aa',
      '',
      ['host', '[::1]:80', 'connection', 'close, x-a', 'x-a', '1', 'via', '1.1 b'],
    ],
  ]
  const mutate = (text: string): string => {
    const at = Math.floor(random() * (text.length + 1))
    const piece = String.fromCharCode(Math.floor(random() * 256))
    const kind = random()
    if (kind < 0.3) return text.slice(0, at) + piece + text.slice(at)
    if (kind < 0.5) return text.slice(0, at) + text.slice(at + 1)
    if (kind < 0.6) return text + text.slice(at)
    if (kind < 0.7) return text.slice(0, at) + piece.repeat(1000) + text.slice(at)
    return text
  }
  const readTimed = (changed: ReturnType<typeof head>) => {
    const startedMs = performance.now()
    return { read: readRequest(changed), tookMs: performance.now() - startedMs }
  }
  let accepted = 0
  let slowestMs = 0
  for (let round = 0; round < 30_000; round++) {
    const [method, path, query, lines] = seeds[round % seeds.length] as (typeof seeds)[number]
    const changed = head(lines.map(mutate), {
      method: mutate(method),
      path: mutate(path),
      query: mutate(query),
    })
    const { read, tookMs } = readTimed(changed)
    // Twice, as the machine may have paused: what is slow by itself is slow again.
    if (tookMs > slowestMs) slowestMs = Math.max(slowestMs, Math.min(tookMs, readTimed(changed).tookMs))
    if (read.malformed || read.hasBody) continue
    accepted++
    expect(read.authority).toMatch(/^[a-z0-9._:[\]-]+$/)
    expect(changed.method + changed.path + changed.query).toMatch(/^[\x21-\x7e]*$/)
    for (let at = 0; at < read.upstreamHeaders.length; at += 2) {
      expect(['host', 'content-length', 'transfer-encoding', 'connection']).not.toContain(
        read.upstreamHeaders[at],
      )
      expect(read.upstreamHeaders[at + 1]).not.toContain('\x7f')
    }
  }
  expect(accepted).toBeGreaterThan(500)
  expect(slowestMs).toBeLessThan(50)
})
