/** Rows P01 to P18 of the catalogue of protocol safety: what a front must not read in a request, over raw sockets. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { badCodings, badLengths, smugglingBodies, unexpectedBodies } from './support/bad-framing.ts'
import {
  type BadRequest,
  badHosts,
  badLines,
  badMethods,
  badTargets,
  otherForms,
} from './support/bad-requests.ts'
import { type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { startFront, type TestFront } from './support/front.ts'
import { startHaproxy } from './support/haproxy.ts'
import { startNginx } from './support/nginx.ts'
import { answered, speak } from './support/raw-client.ts'

const smuggled = 'GET /v2/app/manifests/smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
const good = 'GET /v2/app/manifests/good HTTP/1.1\r\nHost: a\r\n\r\n'

let upstream: FaultUpstream
let front: TestFront

beforeAll(async () => {
  upstream = await startFaultUpstream()
  for (const tag of ['1.0', 'smuggled', 'good']) upstream.answer(`/v2/app/manifests/${tag}`, { body: '{}' })
  upstream.answer('/v2/app/tags/list', (request) => ({
    body: JSON.stringify({ name: 'app', url: request.url }),
  }))
  front = await startFront({ upstream: upstream.url })
})
afterAll(async () => {
  await front.stop()
  await upstream.stop()
})
beforeEach(() => {
  upstream.seen.length = 0
})

const asked = () => upstream.seen.map(({ method, url }) => `${method} ${url}`)

/** Alone it gets one of these answers and the end; before another request it gets the end, and so does that. */
async function expectRefused({ bytes }: BadRequest, statuses = [400, 431, 505]): Promise<void> {
  const alone = await speak(front.port, bytes)
  expect(alone.closed).toBe(true)
  expect(statuses).toEqual(expect.arrayContaining(alone.statuses))
  expect(alone.statuses).toHaveLength(1)
  const followed = await speak(front.port, bytes + smuggled)
  expect(followed.closed).toBe(true)
  expect(followed.statuses.filter((status) => !statuses.includes(status))).toEqual([])
  const later = await speak(front.port, [bytes, smuggled])
  expect(later.closed).toBe(true)
  expect(later.statuses.filter((status) => !statuses.includes(status))).toEqual([])
  expect(asked()).toEqual([])
}

const named = (table: readonly BadRequest[]) => table.map((each) => [each.name, each] as const)
// Only the end of their time ends these: what came is the beginning of a request to uWebSockets.js.
const silent = new Set(['a bare CR in a value', 'an empty line first', 'HTTP/0.9'])

describe('P01 P02: heads as RFC 9112 has them, and as it has them not', () => {
  test.each([
    ['one line of fields', 'GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n', 200],
    ['no blank before a value', 'GET /v2/ HTTP/1.1\r\nHost:a\r\n\r\n', 200],
    ['blanks around a value', 'GET /v2/ HTTP/1.1\r\nHost: \t a \t \r\n\r\n', 200],
    ['an empty value', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n', 200],
    ['names in any case', 'GET /v2/ HTTP/1.1\r\nhOsT: a\r\n\r\n', 200],
    [
      'all characters of a token in a name',
      "GET /v2/ HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~1: a\r\n\r\n",
      200,
    ],
    ['a length of zero', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', 200],
    ['an empty query', 'GET /v2/? HTTP/1.1\r\nHost: a\r\n\r\n', 200],
    ['a host with a port', 'GET /v2/ HTTP/1.1\r\nHost: a:65535\r\n\r\n', 200],
    ['a host in brackets', 'GET /v2/ HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', 200],
    ['no host', 'GET /v2/ HTTP/1.1\r\n\r\n', 400],
    ['a blank in a name', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nX Y: a\r\n\r\n', 400],
    ['a control character', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nX: \x02\r\n\r\n', 400],
    ['another protocol', 'GET /v2/ HTTPS/1.1\r\nHost: a\r\n\r\n', 505],
    ['fields of 20 KB', `GET /v2/ HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['a hundred and twenty fields', `GET /v2/ HTTP/1.1\r\nHost: a\r\n${'X: a\r\n'.repeat(120)}\r\n`, 431],
  ])('%s: %#', async (_name, bytes, status) => {
    const { statuses } = await speak(front.port, bytes, { enough: answered(1) })
    expect(statuses).toEqual([status])
  })
})

test.each(named(badLengths))('P03 Content-Length %s', async (_name, request) => expectRefused(request))

test.each(named(badCodings))('P04 Transfer-Encoding %s', async (_name, request) => expectRefused(request))

test.each(named(smugglingBodies(smuggled)))('P05 %s', async (_name, { bytes }) => {
  for (const pieces of [[bytes], [bytes + smuggled], [bytes, smuggled]]) {
    const { closed, statuses } = await speak(front.port, pieces)
    expect(closed).toBe(true)
    expect(statuses.filter((status) => ![400, 505].includes(status))).toEqual([])
  }
  expect(asked()).toEqual([])
})

describe('P06: a field without a name hides all after it from the parser', () => {
  // docs/deviations.md says why it cannot be refused. What it can do is all that its sender could do anyway.
  const hiding = (hidden: string) => `GET /v2/app/tags/list HTTP/1.1\r\nHost: a\r\n: x\r\n${hidden}\r\n\r\n`

  test('nothing hidden reaches the upstream, and its request is the one that was read', async () => {
    const hidden = 'X-Hidden: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer x'
    await speak(front.port, hiding(hidden), { enough: answered(1) })
    expect(asked()).toEqual(['GET /v2/app/tags/list'])
    const names = upstream.seen[0]?.rawHeaders
      .filter((_, at) => at % 2 === 0)
      .map((name) => name.toLowerCase())
    expect(names?.sort()).toEqual(['connection', 'host', 'via'])
  })

  test('what was hidden as a body is a request of that client, judged like any of its own', async () => {
    const token = await startFront({ upstream: upstream.url, auth: 'token' })
    const inside = 'GET /v2/app/tags/list HTTP/1.1\r\nHost: a\r\n\r\n'
    const bytes =
      hiding(`Authorization: Bearer ${await token.token()}\r\nContent-Length: ${inside.length}`) + inside
    token.records.length = 0
    const { statuses } = await speak(token.port, bytes, { enough: answered(2) })
    expect(statuses).toEqual([401, 401])
    expect(asked()).toEqual([])
    expect(token.records.map(({ status }) => status)).toEqual([401, 401])
    await token.stop()
  })

  test('host and framing before it count; the host after it does not', async () => {
    await expectRefused({ name: '', bytes: 'GET /v2/ HTTP/1.1\r\n: x\r\nHost: a\r\n\r\n' })
    await expectRefused({
      name: '',
      bytes: 'GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n: x\r\n\r\nabcde',
    })
  })

  test.each(['haproxy', 'nginx'])(
    '%s before the front lets none through, where clients share connections',
    async (kind) => {
      const balancer =
        kind === 'haproxy'
          ? await startHaproxy({ backends: [`127.0.0.1:${front.port}`] })
          : await startNginx(
              `location / { proxy_pass http://127.0.0.1:${front.port}; proxy_http_version 1.1; proxy_set_header Connection ""; }`,
            )
      const bytes = hiding(`Content-Length: ${smuggled.length}`) + smuggled
      await speak(Number(balancer.host.split(':')[1]), bytes, { enough: answered(1), timeoutMs: 10_000 })
      expect(asked().filter((each) => each.includes('smuggled'))).toEqual([])
      await balancer.stop()
    },
  )
})

test.each(named(unexpectedBodies(smuggled)))('P07 a body with %s', async (_name, { bytes }) => {
  for (const pieces of [[bytes], [bytes + smuggled], [bytes, smuggled]]) {
    const { closed, statuses } = await speak(front.port, pieces)
    expect(closed).toBe(true)
    expect(statuses.filter((status) => status !== 400)).toEqual([])
  }
  expect(asked()).toEqual([])
})

describe('P08 Expect', () => {
  test.each(['100-continue', '100-Continue'])('%s without a body: the answer', async (value) => {
    const head = `GET /v2/ HTTP/1.1\r\nHost: a\r\nExpect: ${value}\r\n\r\n`
    const { text } = await speak(front.port, [head, head], {
      enough: (all) => all.split(' 200 OK').length > 2,
    })
    expect(text.split('HTTP/1.1 200 OK')).toHaveLength(3)
  })
  test.each(['something-else', '100-continue, something-else', '100-continuee'])(
    '%s: 417, and the connection serves on',
    async (value) => {
      const head = `GET /v2/app/tags/list HTTP/1.1\r\nHost: a\r\nExpect: ${value}\r\n\r\n`
      const next = 'GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n'
      const { statuses } = await speak(front.port, [head, next], { enough: answered(2) })
      expect([statuses.filter((status) => status !== 100), asked()]).toEqual([[417, 200], []])
    },
  )
  test('with a body: refused, and the body is no request', async () => {
    const head = `GET /v2/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${smuggled.length}\r\n\r\n`
    for (const pieces of [[head + smuggled], [head, smuggled]]) {
      const { closed, statuses } = await speak(front.port, pieces)
      expect(closed).toBe(true)
      expect(statuses.filter((status) => status !== 100 && status !== 400)).toEqual([])
    }
    expect(asked()).toEqual([])
  })
})

test.each(named(badHosts))('P09 Host: %s', async (_name, request) => expectRefused(request))

test.each(named(badMethods))('P10 method: %s', async (_name, { bytes }) => {
  const { statuses, text } = await speak(front.port, bytes, { enough: answered(1) })
  expect(statuses).toHaveLength(1)
  expect([400, 405, 431, 505]).toContain(statuses[0])
  if (statuses[0] === 405) expect(text).toContain('\r\nAllow: GET, HEAD\r\n')
  expect(asked()).toEqual([])
})

describe('P11 targets', () => {
  test.each(named(badTargets))('%s', async (_name, { bytes }) => {
    const { statuses } = await speak(front.port, bytes, { enough: answered(1) })
    expect(statuses).toHaveLength(1)
    expect([400, 404, 431, 505]).toContain(statuses[0])
    expect(asked()).toEqual([])
  })
  test.each([
    '?n=1&last=%2e%2e',
    '?a=%00%0d%0a%2F%c3%a9',
    '?..//./x',
    "?!$&'()*+,;=:@/?-._~[]",
    '?a^b`c{d|e}',
    '?',
    '??',
  ])('the query %s reaches the upstream in the bytes that came', async (query) => {
    const { statuses } = await speak(
      front.port,
      `GET /v2/app/tags/list${query} HTTP/1.1\r\nHost: a\r\n\r\n`,
      {
        enough: answered(1),
      },
    )
    expect(statuses).toEqual([200])
    expect(asked()).toEqual([`GET /v2/app/tags/list${query === '?' ? '' : query}`])
  })
})

test.each(named(otherForms.filter(({ name }) => !silent.has(name))))(
  'P12 %s: 505 and the end',
  async (_name, request) => expectRefused(request, [505]),
)

test.each([
  ['nginx', 200],
  ['haproxy', 505],
])('P12 the absolute form and HTTP/1.0 by way of %s: %i', async (kind, status) => {
  const balancer =
    kind === 'haproxy'
      ? await startHaproxy({ backends: [`127.0.0.1:${front.port}`] })
      : await startNginx(
          `location / { proxy_pass http://127.0.0.1:${front.port}; proxy_http_version 1.1; proxy_set_header Connection ""; }`,
        )
  const path = '/v2/app/tags/list'
  for (const line of [`GET http://a${path} HTTP/1.1`, `GET ${path} HTTP/1.0`]) {
    const bytes = `${line}\r\nHost: a\r\nConnection: close\r\n\r\n`
    const { statuses } = await speak(Number(balancer.host.split(':')[1]), bytes)
    expect([line, statuses]).toEqual([line, [status]])
  }
  await balancer.stop()
})

test.each(named(badLines.filter(({ name }) => !silent.has(name))))('P13 %s', async (_name, request) =>
  expectRefused(request),
)

test('P12 P13: what is no whole head ends with its time, and nothing of it is served', {
  timeout: 40_000,
}, async () => {
  const table = [...otherForms, ...badLines].filter(({ name }) => silent.has(name))
  expect(table).toHaveLength(silent.size)
  const outcomes = await Promise.all(table.map(({ bytes }) => speak(front.port, bytes + smuggled)))
  for (const { closed, statuses, tookMs } of outcomes) {
    expect([closed, statuses]).toEqual([true, []])
    expect(tookMs).toBeLessThan(20_000)
  }
  expect(asked()).toEqual([])
})

test.each(['haproxy', 'nginx'])(
  'P14 behind %s no bad request brings another to the upstream',
  { timeout: 60_000 },
  async (kind) => {
    const balancer =
      kind === 'haproxy'
        ? await startHaproxy({ backends: [`127.0.0.1:${front.port}`] })
        : await startNginx(
            `location / { proxy_pass http://127.0.0.1:${front.port}; proxy_http_version 1.1; proxy_set_header Connection ""; }`,
          )
    const port = Number(balancer.host.split(':')[1])
    // Without those in which the request inside is one that stands behind the first, for both of them.
    const table = [...badLengths, ...badCodings, ...unexpectedBodies(smuggled), ...badLines]
    const outcomes = await Promise.all(
      table.map(({ bytes }) => speak(port, bytes, { timeoutMs: 6000 }).catch(() => null)),
    )
    expect(outcomes.filter((outcome) => outcome?.closed).length).toBeGreaterThan(0)
    // Bodies hold the smuggled one; a balancer that took one for a request would have passed it on.
    expect(asked().filter((each) => each.includes('smuggled'))).toEqual([])
    await balancer.stop()
  },
)

describe('P15: the same verdict however the bytes are cut', () => {
  const cases: [string, string, number][] = [
    ['a good request', 'GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n', 200],
    ['an unknown path', 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n', 404],
    ['a body', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab', 400],
    ['a coding', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    ['a bad host', 'GET /v2/ HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
    ['two hosts', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['a folded line', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n', 400],
    ['a blank before the colon', 'GET /v2/ HTTP/1.1\r\nHost : a\r\n\r\n', 400],
    ['another version', 'GET /v2/ HTTP/1.0\r\nHost: a\r\n\r\n', 505],
  ]
  test.each(cases)('%s', { timeout: 60_000 }, async (_name, bytes, status) => {
    for (let at = 1; at < bytes.length; at++) {
      const { statuses } = await speak(front.port, [bytes.slice(0, at), bytes.slice(at)], {
        enough: answered(1),
      })
      expect([at, statuses]).toEqual([at, [status]])
    }
  })
  test('a byte at a time', async () => {
    for (const [, bytes, status] of cases) {
      const { statuses } = await speak(front.port, [...bytes], { enough: answered(1), gapMs: 2 })
      expect(statuses).toEqual([status])
    }
  })
})

describe('P17 pipelining', () => {
  test('local answers come in order', async () => {
    const bytes = ['/v2/', '/x', '/v2/', '/readyz']
      .map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
      .join('')
    const { statuses } = await speak(front.port, bytes, { enough: answered(4) })
    expect(statuses).toEqual([200, 404, 200, 200])
  })
  test('a second one before the answer of the first ends the connection, with no answer swapped', async () => {
    const { closed, statuses } = await speak(front.port, good + good.replace('good', '1.0'))
    expect([closed, statuses]).toEqual([true, []])
    expect(asked().filter((each) => each.includes('1.0'))).toEqual([])
  })
  test('nothing behind a refused one is read', async () => {
    const bad = 'GET /v2/ HTTP/1.1\r\nHost: a b\r\n\r\n'
    for (const pieces of [[bad + smuggled], [bad, smuggled]]) {
      const { closed, statuses } = await speak(front.port, pieces)
      expect(closed).toBe(true)
      expect(statuses.filter((status) => status !== 400)).toEqual([])
    }
    expect(asked().filter((each) => each.includes('smuggled'))).toEqual([])
  })
})

test('P18 of a thousand requests among bad ones, each gets its own answer', { timeout: 60_000 }, async () => {
  const bad = [...badLengths, ...badCodings, ...badHosts, ...smugglingBodies(smuggled)]
  let next = 0
  let wrong = 0
  let right = 0
  const one = async (number: number): Promise<void> => {
    if (number % 3 === 0) {
      await speak(front.port, (bad[number % bad.length] as BadRequest).bytes + smuggled)
      return
    }
    const request = `GET /v2/app/tags/list?nonce=${number} HTTP/1.1\r\nHost: a\r\n\r\n`
    const { text } = await speak(front.port, request, { enough: answered(1) })
    if (text.endsWith(`{"name":"app","url":"/v2/app/tags/list?nonce=${number}"}`)) right++
    else wrong++
  }
  const worker = async (): Promise<void> => {
    for (let number = next++; number < 1500; number = next++) await one(number)
  }
  await Promise.all(Array.from({ length: 24 }, worker))
  expect([right, wrong]).toEqual([1000, 0])
  expect(asked().filter((each) => each.includes('smuggled'))).toEqual([])
})
