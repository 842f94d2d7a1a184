import { expect, test, vi } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import type { LogEntry } from '../record/events.ts'
import type { WaybillRecord } from '../record/record.ts'
import { createBatchTask } from './batch.ts'
import { enrichmentSteps, type Step } from './enrichment-steps.ts'
import type { Pseudonyms } from './pseudonym.ts'
import { createBatch, createRecord, noon, services } from './record.fixture.ts'
import { range } from './ring.fixture.ts'

const agents = ['docker/28.1.1 go/go1.23.8 os/linux arch/amd64', 'docker/27.0.0', 'Helm/3.15.0', 'curl/8', '']

/** Records of few clients, so that a batch finds what it knows already. */
function createRecords(seed: number, count: number): WaybillRecord[] {
  const { next: random } = createRandom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  return range(count).map((sequence) => {
    const address = new Uint8Array(16)
    // MaxMind's test ranges for IPv4, and the documentation range of IPv6.
    if (random() < 0.7) address.set([255, 255, 81, 2, 69, 160 + below(4)], 10)
    else address.set([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, below(2), 0, 0, 0, 0, 0, 0, 0, below(2)])
    return createRecord({
      sequence,
      address,
      kind: random() < 0.1 ? 'heartbeat' : 'request',
      userAgent: agents[below(agents.length)]!,
      startMs: noon + random() * 3000,
      durationMs: random() * 100,
      firstByteMs: random() < 0.2 ? -1 : random() * 10,
      size: below(3) - 1,
      hasNonce: random() < 0.5,
      nonce: new Uint8Array(16).fill(below(3)),
      domain: below(3) - 1,
      repository: ['acme/app', 'acme/other', ''][below(3)]!,
      host: ['host.example.test', 'b\xe9"\\\n.test'][below(2)]!,
    })
  })
}

function createTask() {
  const appended: { lines: string[]; parsed: readonly LogEntry[] }[] = []
  const run = createBatchTask({
    steps: enrichmentSteps,
    services,
    boot: '0123456789abcdef',
    append: (payload, _about, parsed) =>
      appended.push({ lines: payload.toString().trimEnd().split('\n'), parsed }),
    now: () => noon,
  })
  return { run, appended }
}

test.each(range(10))('seed %i: a record becomes the same in company as alone', async (seed) => {
  const records = createRecords(seed, 80)
  const together = createTask()
  await together.run(createBatch(records))
  const alone = createTask()
  for (const record of records) await alone.run(createBatch([record]))
  expect(together.appended[0]?.lines).toEqual(alone.appended.flatMap(({ lines }) => lines))
})

test('what is handed on beside the lines says what they say, of damaged records too', async () => {
  const damaged = [
    { durationMs: Number.NaN },
    { bytesSent: Number.POSITIVE_INFINITY },
    { offset: Number.NaN },
    { size: Number.POSITIVE_INFINITY },
    { firstByteMs: Number.NaN },
  ].map((changes) => createRecord(changes))
  const { run, appended } = createTask()
  await run(createBatch([...createRecords(1, 40), ...damaged]))
  const { lines, parsed } = appended[0]!
  expect(parsed).toEqual(lines.map((line): LogEntry => JSON.parse(line)))
  expect(parsed.map((entry) => JSON.stringify(entry))).toEqual(lines)
})

test('two requests of one client share its description', async () => {
  const { run, appended } = createTask()
  await run(createBatch([createRecord(), createRecord({ sequence: 27 })]))
  const [first, second] = appended[0]!.parsed
  expect(first).toHaveProperty('client')
  expect((first as { client: object }).client).toBe((second as { client: object }).client)
})

test('no copy of a key outlives its batch, also when that fails, and a client is looked up once', async () => {
  const asked: string[] = []
  const forget = vi.fn(services.pseudonymize.forget)
  const ask: (...client: Parameters<typeof services.pseudonymize>) => Pseudonyms = (...client) => {
    asked.push(client[1])
    return services.pseudonymize(...client)
  }
  const pseudonymize = Object.assign(ask, { periodOf: services.pseudonymize.periodOf, forget })
  let fails = false
  const fail: Step = () => {
    if (fails) throw new Error('poison')
  }
  const run = createBatchTask({
    steps: [...enrichmentSteps, fail],
    services: { ...services, pseudonymize },
    boot: '0123456789abcdef',
    append: () => undefined,
  })
  const batch = createBatch([createRecord(), createRecord({ sequence: 27 })])
  await run(batch)
  fails = true
  await expect(run(batch)).rejects.toThrow('poison')
  fails = false
  await run(batch)
  expect(asked.length).toBe(1)
  expect(forget).toHaveBeenCalledTimes(3)
})
