/**
 * One summary for each client, repository, tag and day, the same in whatever order and however often checks come.
 */
import { expect, test } from 'vitest'
import { createRandom } from '../../../test/support/random.ts'
import { samplePackageEvent } from '../../../test/support/sample-events.ts'
import { schemaErrors } from '../../../test/support/schema-validation.ts'
import type { PackageEvent } from '../../record/events.ts'
import { createGraph, digestOf, parseFacts, run, startMs } from '../pull/session.fixture.ts'
import { createCheckSummaries } from './check-summary.ts'

let sequence = 0

function check(at: string, fields: Partial<PackageEvent> = {}): PackageEvent {
  sequence += 1
  const id = (0x9e3779b97f4a7c15n * BigInt(sequence))
    .toString(16)
    .slice(-12)
    .padStart(12, '0')
    .padEnd(32, '0')
  return samplePackageEvent(sequence, {
    ...{ id, type: 'check', kind: 'check', tag: 't', digest: digestOf('A'), batch_id: null, checks: null },
    ...{ started_at: at, ended_at: new Date(Date.parse(at) + 3).toISOString(), duration_ms: 3 },
    ...{ session_ids: [id.slice(0, 31).concat('f')], session_method: 'token', fail_reason: null },
    ...fields,
  })
}

const over = Date.parse('2026-02-04T00:10:00.000Z')

test('a day of checks', () => {
  const checks = [
    check('2026-02-03T00:00:00.000Z'),
    check('2026-02-03T12:00:00.000Z', { digest: digestOf('B') }),
    check('2026-02-03T23:59:59.999Z', { attempts: 4 }),
  ]
  const summaries = createCheckSummaries()
  expect(checks.map(summaries.add)).toEqual(['counted', 'counted', 'counted'])
  expect(checks.map(summaries.add)).toEqual(['repeat', 'repeat', 'repeat'])
  expect(summaries.due(over - 1)).toEqual([])
  const due = summaries.due(over)
  const [first, , last] = checks
  expect(due).toEqual([
    {
      ...first,
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
      type: 'check_summary',
      kind: 'check',
      ended_at: '2026-02-04T00:00:00.002Z',
      duration_ms: 86_400_002,
      digest: last?.digest,
      attempts: 1,
      checks: {
        count: 3,
        first_at: '2026-02-03T00:00:00.000Z',
        last_at: '2026-02-03T23:59:59.999Z',
        digests: [digestOf('A'), digestOf('B')],
      },
      ...{ requests: 0, manifest_gets: 0, manifest_heads: 0, blob_gets: 0 },
      ...{ bytes_sent: 0, bytes_unique: 0, bytes_expected: 0, bytes_basis: 'observed' },
      counts: {
        ...{ hub_pulls: 0, dvp_action: null, scarf_pull: false },
        ...{ k8s_complete_pull: false, config_blob_pull: false },
      },
    },
  ])
  expect(schemaErrors('package-event', due[0])).toEqual([])
  expect(summaries.due(over)).toEqual(due)
  summaries.forget(due)
  expect(summaries.due(over)).toEqual([])
  // The day is over: its event must not come a second time with another number.
  expect(summaries.add(check('2026-02-03T23:00:00.000Z'))).toBe('late')
  expect(createCheckSummaries({ closedThroughMs: over - 600_000 }).add(checks[0] as PackageEvent)).toBe(
    'late',
  )
})

test('clients, repositories, tags and days apart; refused checks and other events not at all', () => {
  const at = '2026-02-03T08:00:00.000Z'
  const one = check(at)
  const summaries = createCheckSummaries()
  for (const event of [
    one,
    check(at, { tag: 'u' }),
    check(at, { domain: null }),
    check(at, { repository: 'team/other' }),
    check(at, { client: { ...one.client, id: '0'.repeat(32) } }),
    check('2026-02-02T08:00:00.000Z'),
  ])
    expect(summaries.add(event)).toBe('counted')
  for (const fields of [
    { kind: 'failed', fail_reason: '404' },
    { type: 'pull', kind: 'full' },
    { tag: null, tag_source: null },
  ] as const)
    expect(summaries.add(check(at, fields))).toBe('other')
  const due = summaries.due(over)
  expect(new Set(due.map(({ id }) => id)).size).toBe(6)
  expect(due.every(({ checks }) => checks?.count === 1)).toBe(true)
})

test('the order, repeats and restarts change nothing', () => {
  const random = createRandom(7)
  const checks = Array.from({ length: 300 }, () => {
    const at = new Date(Date.parse('2026-02-03T00:00:00Z') + random.below(86_400) * 1000).toISOString()
    return check(at, { tag: `t${random.below(3)}`, digest: digestOf(`${random.below(90)}`) })
  })
  const inOrder = createCheckSummaries()
  for (const event of checks) inOrder.add(event)
  const expected = inOrder.due(over)
  expect(expected.map(({ checks: seen }) => seen?.count).reduce((sum = 0, count = 0) => sum + count)).toBe(
    300,
  )
  for (let round = 0; round < 10; round += 1) {
    let summaries = createCheckSummaries()
    for (const event of [...checks, ...checks].sort(() => random.next() - 0.5)) {
      summaries.add(event)
      if (random.below(50) === 0) summaries = createCheckSummaries({ rows: summaries.rows() })
    }
    expect(summaries.due(over)).toEqual(expected)
  }
})

test('kubelet asks from three nodes behind one address, with a token each (10.4)', () => {
  const facts = parseFacts(['0 n1 HEAD manifests/a', '0 n2 HEAD manifests/a', '0 n3 HEAD manifests/a'])
  const summaries = createCheckSummaries()
  for (const fact of facts) {
    const { finished } = run([fact], createGraph({}))
    expect(finished.map(({ event }) => summaries.add(event))).toEqual(['counted'])
  }
  expect(summaries.due(startMs + 2 * 86_400_000)).toMatchObject([
    { tag: 'a', type: 'check_summary', kind: 'check', checks: { count: 3, digests: [digestOf('I')] } },
  ])
})

test('no more rows than may be', () => {
  const summaries = createCheckSummaries({ maxRows: 1 })
  const at = '2026-02-03T08:00:00.000Z'
  const added = [check(at), check(at, { tag: 'u' }), check(at)].map(summaries.add)
  expect(added).toEqual(['counted', 'full', 'counted'])
})
