import { randomBytes } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import type { RequestEvent } from '../record/events.ts'
import type { WaybillRecord } from '../record/record.ts'
import { createBatchTask } from './batch.ts'
import { enrichmentSteps, type Step } from './enrichment-steps.ts'
import { createBatch, createRecord, digest, london, noon, services } from './record.fixture.ts'

async function enrich(records: WaybillRecord[], steps: readonly Step[] = enrichmentSteps) {
  const appended: { payload: string; entries: number; oldestMs: number }[] = []
  const run = createBatchTask({
    steps,
    services,
    boot: '0123456789abcdef',
    append: (payload, about) => appended.push({ payload: payload.toString(), ...about }),
    now: () => noon,
  })
  const batch = createBatch(records)
  const result = await run(batch)
  const lines = appended
    .map(({ payload }) => payload)
    .join('')
    .trimEnd()
    .split('\n')
  return { batch, run, result, appended, events: lines.map((line): RequestEvent => JSON.parse(line)) }
}

async function enrichOne(changes: Partial<WaybillRecord>): Promise<RequestEvent> {
  const { events } = await enrich([createRecord(changes)])
  return events[0]!
}

test('a record becomes a request event with every field', async () => {
  const { events, result, appended } = await enrich([createRecord()])
  expect(result).toEqual({ retryLater: null })
  expect(appended[0]).toMatchObject({ entries: 1, oldestMs: noon })
  expect(events).toEqual([
    {
      schema: 'waybill.request-event/1',
      id: '0123456789abcdef000300000000001a',
      time: '2026-11-21T12:00:00.000Z',
      session_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      session_method: 'client',
      method: 'GET',
      class: 'blob',
      domain: 'cr.example.test',
      repository: 'acme/app',
      reference: digest,
      digest,
      status: 206,
      outcome: 'relay',
      bytes_sent: 4000,
      range: 'bytes=1000-',
      offset: 1000,
      size: 5000,
      duration_ms: 12.346,
      first_byte_ms: 1,
      upstream: 'registry.example.test',
      upstream_repository: 'acme-org/app',
      upstream_status: 200,
      redirect_host: null,
      aborted: false,
      client: {
        id: expect.stringMatching(/^[0-9a-f]{32}$/),
        endpoint_id: expect.stringMatching(/^[0-9a-f]{32}$/),
        tool: 'docker',
        version: '28.1.1',
        os: 'linux',
        arch: 'amd64',
        automation: 'no',
        via: null,
      },
      geo: { country: 'GB', region: 'GB-ENG', city: null },
      network: { asn: null, organization: null, type: null, cloud_provider: null, cloud_region: null },
      company: null,
      data: { city_built_at: expect.any(String), asn_built_at: expect.any(String) },
      privacy: { key_epoch: '2026-11-21', key_scope: 'node' },
      node: 'node-1',
    },
  ])
})

test('what is not known is null, and nothing is left out', async () => {
  const event = await enrichOne({
    class: 'ping',
    status: 401,
    upstreamStatus: 0,
    firstByteMs: -1,
    size: -1,
    domain: -1,
    upstream: -1,
    repository: 'left from before',
    reference: '',
    upstreamRepository: '',
    userAgent: '',
    range: '',
    digest: '',
  })
  const full = await enrichOne({})
  expect(Object.keys(event)).toEqual(Object.keys(full))
  const nulls = [
    'session_id',
    'session_method',
    'domain',
    'repository',
    'reference',
    'digest',
    'range',
    'size',
    'first_byte_ms',
    'upstream',
    'upstream_repository',
    'upstream_status',
    'redirect_host',
    'company',
  ]
  expect(
    Object.entries(event)
      .filter(([, value]) => value === null)
      .map(([name]) => name),
  ).toEqual(expect.arrayContaining(nulls))
})

test.each([
  ['the configured host', { domain: 0 }, 'cr.example.test'],
  ['the Host header where any host is served', { domain: 1 }, 'host.example.test'],
  ['nothing where that is no host name', { domain: 1, host: '' }, null],
])('the domain is %s', async (_, changes, domain) => {
  expect((await enrichOne(changes)).domain).toBe(domain)
})

test('a heartbeat has the id of the request it speaks of', async () => {
  const [heartbeat, request] = (await enrich([createRecord({ kind: 'heartbeat' }), createRecord()])).events
  expect(heartbeat).toEqual({ ...request, schema: 'waybill.heartbeat/1' })
})

test.each([
  ['manifest', {}, 'client'],
  ['tags', {}, 'client'],
  ['referrers', { status: 404 }, 'client'],
  ['blob', { status: 429, outcome: 'relay' }, 'client'],
  ['blob', { status: 502, outcome: 'local' }, 'client'],
  ['blob', { method: 'HEAD', hasNonce: true, nonce: new Uint8Array(16).fill(1) }, 'token'],
  ['blob', { status: 401, outcome: 'local' }, null],
  ['blob', { status: 429, outcome: 'reject' }, null],
  ['blob', { repository: '' }, null],
  ['blob', { method: 'POST', status: 405 }, null],
  ['ping', {}, null],
  ['token', {}, null],
  ['other', {}, null],
] as const)('class %s with %j: session by %s', async (requestClass, changes, method) => {
  const { session_id, session_method } = await enrichOne({ class: requestClass, ...changes })
  expect(session_method).toBe(method)
  expect(session_id === null).toBe(method === null)
})

test('one session for one nonce, or one client, in one repository of one domain', async () => {
  const nonce = (fill: number) => ({ hasNonce: true, nonce: new Uint8Array(16).fill(fill) })
  const elsewhere = Uint8Array.from([...london.subarray(0, 15), 174])
  const id = async (changes: Partial<WaybillRecord>) => (await enrichOne(changes)).session_id
  const token = await id(nonce(1))
  expect(await id({ ...nonce(1), address: elsewhere, userAgent: 'curl/8', class: 'manifest' })).toBe(token)
  const client = await id({})
  expect(await id({ userAgent: 'docker/27.0.0', class: 'tags' })).toBe(client)
  const others = [
    nonce(2),
    { ...nonce(1), repository: 'acme/other' },
    { ...nonce(1), domain: 1 },
    { address: elsewhere },
    { userAgent: 'curl/8' },
    { repository: 'acme/other' },
    { domain: 1 },
  ]
  const ids = await Promise.all(others.map(id))
  expect(new Set([token, client, ...ids]).size).toBe(others.length + 2)
})

test('no form of the address or the nonce is in what is written, or in the records afterwards', async () => {
  const seen: WaybillRecord[] = []
  const spy: Step = (_, { record }) => void seen.push(record)
  const nonce = randomBytes(16)
  const { appended, batch } = await enrich(
    [createRecord({ hasNonce: true, nonce }), createRecord()],
    [spy, ...enrichmentSteps],
  )
  const payload = appended[0]?.payload ?? ''
  for (const form of ['81.2.69', '510245ad', 'UQJFrQ', '1359103405', nonce.toString('hex'), '01f442b']) {
    expect(payload).not.toContain(form)
  }
  expect(seen.length).toBe(2)
  for (const record of seen)
    expect([...record.address, ...record.nonce].every((byte) => byte === 0)).toBe(true)
  // The ring is zeroed when it is freed, and not before: the batch may have to run again.
  expect(Buffer.from(batch.sab).includes(Buffer.from(london))).toBe(true)
})

test('later steps do not see the address', async () => {
  const last: Step = (event, { record }) => {
    event.node = Buffer.from(record.address).toString('hex')
  }
  const { events } = await enrich([createRecord()], [...enrichmentSteps, last])
  expect(events[0]?.node).toBe('0'.repeat(32))
})

test('a step that throws fails the batch before anything is appended, and leaves no address', async () => {
  const seen: WaybillRecord[] = []
  const fail: Step = (_, { record }) => {
    seen.push(record)
    if (record.sequence === 2) throw new Error('poison')
  }
  const append = vi.fn()
  const run = createBatchTask({ steps: [fail], services, boot: '0'.repeat(16), append })
  const batch = createBatch([1, 2, 3].map((sequence) => createRecord({ sequence })))
  await expect(run(batch)).rejects.toThrow('poison')
  expect(append).not.toHaveBeenCalled()
  for (const record of seen) expect(record.address.every((byte) => byte === 0)).toBe(true)
})

test('run twice, a batch makes the same lines', async () => {
  const { run, batch, appended } = await enrich([createRecord(), createRecord({ sequence: 27 })])
  await run(batch)
  expect(appended[1]).toEqual(appended[0])
})

test.each(['ENOSPC', 'EIO', 'LOG_UNAVAILABLE'])(
  'a log that says %s makes the batch come again',
  async (code) => {
    const append = () => {
      throw Object.assign(new Error('no'), { code })
    }
    const run = createBatchTask({ steps: enrichmentSteps, services, boot: '0'.repeat(16), append })
    expect(await run(createBatch([createRecord()]))).toEqual({ retryLater: code })
  },
)

test('any other failure of the log fails the batch', async () => {
  const append = async () => Promise.reject(new Error('bug'))
  const run = createBatchTask({ steps: enrichmentSteps, services, boot: '0'.repeat(16), append })
  await expect(run(createBatch([createRecord()]))).rejects.toThrow('bug')
})
