/**
 * What the embedded session store costs the session thread for one fact: put in, in batches as workers send them,
 * and claimed and closed again.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openDatabase } from '../src/ops/database.ts'
import type { RequestEvent } from '../src/record/events.ts'
import { createSqliteStore } from '../src/sessionizer/sqlite-store.ts'
import type { SessionStore } from '../src/sessionizer/store.ts'
import { hexId, manifestRequest, recordId, request, startMs } from '../test/support/session-facts.ts'
import { medianOf, type Report } from './support/report.ts'

const batchEntries = 512
const batches = 40
const aimUs = 10
const sessions = {
  idleMs: 60_000,
  idleHeadMs: 10_000,
  idleBuilderMs: 1_800_000,
  maxMs: 86_400_000,
  latenessMs: 30_000,
}

/** As pulls of one image: a HEAD and two GETs of manifests, nine of blobs. */
function entryOf(index: number, session: string, method: 'token' | 'client'): RequestEvent {
  const fields = { at: index, session_id: session, session_method: method, duration_ms: 3 }
  const step = index % 12
  if (step === 0) return manifestRequest(recordId(index), 'HEAD', '1.0', fields)
  if (step < 3)
    return manifestRequest(recordId(index), 'GET', `sha256:${hexId(`m${step}`).repeat(2)}`, fields)
  const digest = `sha256:${hexId(`layer ${step}`).repeat(2)}`
  return request(recordId(index), { ...fields, digest, reference: digest })
}

const shapes: Record<string, (index: number) => RequestEvent> = {
  one_session: (index) => entryOf(index, hexId('session'), 'client'),
  distinct_sessions: (index) => entryOf(index, hexId(`session ${index}`), 'token'),
  pulls: (index) => entryOf(index, hexId(`session ${Math.floor(index / 12)}`), 'token'),
}

async function time(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return user + system
}

async function closeAll(store: SessionStore): Promise<number> {
  let closed = 0
  for (;;) {
    const claimed = await store.claimDue({ watermarkMs: startMs + 1e9, max: 64 })
    if (claimed.length === 0) return closed
    const done = await Promise.all(
      claimed.map(({ sessionId, lease, arrivals, facts }) =>
        store.closeSession({
          ...{ sessionId, lease, arrivals, countedIds: facts.map(({ fact }) => fact.id), earlier: [] },
          ...{ watermarkMs: startMs + 1e9, closedThroughMs: startMs + 1e8, remaining: null },
        }),
      ),
    )
    if (!done.every(Boolean)) throw new Error('a claim was lost')
    for (const { facts } of claimed) closed += facts.length
  }
}

async function measure(report: Report, name: string, create: (index: number) => RequestEvent): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-store-'))
  const opened = openDatabase(join(folder, 'waybill.db'))
  if (!opened.ok) throw new Error(opened.error)
  const store = createSqliteStore({ database: opened.database, sessions, tombstoneMs: 86_400_000 })
  try {
    const times: number[] = []
    for (let batch = 0; batch < batches; batch += 1) {
      const entries = Array.from({ length: batchEntries }, (_, at) => create(batch * batchEntries + at))
      times.push(await time(() => store.addEntries(entries)))
    }
    report({ name: `store.add.${name}`, value: medianOf(times) / batchEntries, unit: 'us/fact', aim: aimUs })
    const facts = batches * batchEntries
    const again = Array.from({ length: batchEntries }, (_, at) => create(at))
    report({
      name: `store.repeat.${name}`,
      value: (await time(() => store.addEntries(again))) / batchEntries,
      unit: 'us/fact',
    })
    let closed = 0
    const closing = await time(async () => {
      closed = await closeAll(store)
    })
    if (closed !== facts) throw new Error(`${closed} of ${facts} facts came back`)
    report({ name: `store.close.${name}`, value: closing / facts, unit: 'us/fact', aim: aimUs })
    report({
      name: `store.counted.${name}`,
      value: (await time(() => store.addEntries(again))) / batchEntries,
      unit: 'us/fact',
    })
    if ((await store.openSessions()) > 0) throw new Error('what was counted was taken again')
  } finally {
    await store.close()
    opened.database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

export async function run(report: Report): Promise<void> {
  for (const [name, create] of Object.entries(shapes)) await measure(report, name, create)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await run(({ name, value, unit }) =>
    console.log(`${name.padEnd(32)} ${value.toFixed(2).padStart(10)} ${unit}`),
  )
}
