/** Sessions as docker makes them, in a store: what the benchmarks of sessions in stores share. */
import type { LogEntry, Manifest } from '../../src/record/events.ts'
import { factOf } from '../../src/sessionizer/fact.ts'
import { joinKeyOf } from '../../src/sessionizer/join-index.ts'
import type { SessionStore } from '../../src/sessionizer/store.ts'
import {
  digestOf,
  hexId,
  imageManifest,
  indexManifest,
  manifestRequest,
  recordId,
  request,
} from '../../test/support/session-facts.ts'

export const factsPerSession = 12
const batchEntries = 512
export const rules = {
  idleMs: 60_000,
  idleHeadMs: 10_000,
  idleBuilderMs: 1_800_000,
  maxMs: 86_400_000,
  latenessMs: 1e13,
}
export const log = { info() {}, warn() {}, error() {} }
const layers = Array.from({ length: factsPerSession - 4 }, (_, at) => `layer ${at}`)

function imageOf(): Manifest[] {
  const descriptors = layers.map((name) => ({
    ...{ digest: digestOf(name), size: 31_357_624, foreign: false },
    media_type: 'application/vnd.oci.image.layer.v1.tar+gzip',
  }))
  return [indexManifest('index', ['app']), { ...imageManifest('app'), layers: descriptors }]
}

/** A pull as docker makes it, with a token and an address of its own. */
function pullOf(session: number): LogEntry[] {
  const session_id = hexId(`session ${session}`)
  const client = { id: hexId(`client ${session}`) }
  const first = session * factsPerSession
  const of = (step: number) => ({ at: step * 40, session_id, client, duration_ms: 38 })
  const size = { bytes_sent: 31_357_624, size: 31_357_624 }
  return [
    manifestRequest(recordId(first), 'HEAD', '1.27.4', of(0)),
    manifestRequest(recordId(first + 1), 'GET', digestOf('index'), of(1)),
    manifestRequest(recordId(first + 2), 'GET', digestOf('app'), of(2)),
    request(recordId(first + 3), {
      ...of(3),
      ...{ digest: digestOf('app config'), bytes_sent: 1500, size: 1500 },
    }),
    ...layers.map((name, layer) =>
      request(recordId(first + 4 + layer), { ...of(4 + layer), ...size, digest: digestOf(name) }),
    ),
  ]
}

export async function fill(store: SessionStore, sessions: number, from = 0): Promise<void> {
  await store.addEntries(imageOf())
  const perBatch = Math.floor(batchEntries / factsPerSession)
  for (let first = 0; first < sessions; first += perBatch) {
    const count = Math.min(perBatch, sessions - first)
    const pulls = Array.from({ length: count }, (_, index) => pullOf(from + first + index))
    await store.addEntries(pulls.flat())
  }
}

export function usedUs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return user + system
}

export type Row = { sessionId: string; joinKey: string }

export function rowsOf(sessions: number, from: number): Map<string, Row> {
  const rows = Array.from({ length: sessions }, (_, index) => {
    const [entry] = pullOf(from + index)
    const fact = entry?.schema === 'waybill.request-event/1' ? factOf(entry) : null
    if (fact === null) throw new Error('no fact')
    return { sessionId: fact.sessionId, joinKey: joinKeyOf(fact) }
  })
  return new Map(rows.map((row) => [row.sessionId, row]))
}
