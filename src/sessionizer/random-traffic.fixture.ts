/**
 * Random traffic as a registry's clients make it: several machines behind few addresses pull, check and verify the
 * same images at once, with a token for each pull, with containerd's two, with one that is renewed on the way, with one
 * for many, or with none.
 */
import type { Random } from '../../test/support/random.ts'
import type { Heartbeat, Manifest, RequestEvent } from '../record/events.ts'
import { createImageGraph, parseFact } from './pull/session.fixture.ts'
import type { Fact } from './types.ts'

export type Traffic = {
  requests: RequestEvent[]
  /** Of transfers that run for long; each has the id of its request. */
  heartbeats: Heartbeat[]
  manifests: Manifest[]
}

/** Long past for the clock of every store. */
const shiftMs = -6 * 365 * 86_400_000
const heartbeatMs = 20_000

const cold = [
  'GET manifests/I',
  'GET manifests/M',
  'GET blobs/C',
  'GET blobs/L1 long',
  'GET blobs/L2',
  'GET blobs/L3',
]
const scripts: readonly string[][] = [
  ['HEAD manifests/t', ...cold],
  ['HEAD manifests/t', ...cold],
  ['GET manifests/t', 'GET manifests/M2', 'GET blobs/C2', 'GET blobs/L1 307', 'GET blobs/L2.2 307'],
  ['HEAD manifests/t'],
  ['HEAD manifests/u 429', 'HEAD manifests/u'],
  ['HEAD manifests/v 404'],
  ['HEAD manifests/v 404', 'HEAD manifests/v'],
  ['GET manifests/I', 'GET manifests/M', 'GET blobs/C', 'GET blobs/L1'],
  [
    'GET manifests/t',
    'GET manifests/M',
    'GET blobs/C',
    'GET blobs/L1 sent=10 aborted',
    'GET blobs/L1 range=10-',
  ],
  ['GET manifests/M', 'GET blobs/C', 'GET blobs/L2 sent=99 aborted'],
  ['GET blobs/L3 range=70-'],
  ['GET referrers/I', 'GET manifests/sha256-hex(I).sig', 'GET blobs/S.layer1'],
  ['GET tags/list'],
  ['HEAD manifests/a', 'HEAD manifests/b', 'GET manifests/I', 'GET manifests/M', 'GET blobs/L1'],
]

export function toRequest(fact: Fact): RequestEvent {
  const { context } = fact
  return {
    schema: 'waybill.request-event/1',
    id: fact.id,
    time: new Date(fact.time + shiftMs).toISOString(),
    session_id: fact.sessionId,
    method: fact.method,
    class: fact.class,
    reference: fact.reference,
    digest: fact.digest,
    status: fact.status,
    outcome: fact.outcome,
    bytes_sent: fact.bytesSent,
    range: null,
    offset: fact.offset,
    size: fact.size,
    duration_ms: fact.durationMs,
    first_byte_ms: null,
    upstream_status: null,
    redirect_host: null,
    aborted: fact.aborted,
    ...context,
  }
}

function heartbeatsOf(request: RequestEvent): Heartbeat[] {
  const beats: Heartbeat[] = []
  for (let ms = heartbeatMs; ms < request.duration_ms; ms += heartbeatMs) {
    const bytes_sent = Math.floor((request.bytes_sent * ms) / request.duration_ms)
    beats.push({ ...request, schema: 'waybill.heartbeat/1', duration_ms: ms, bytes_sent, aborted: false })
  }
  return beats
}

const hexOf = (text: string): string => Buffer.from(text.padEnd(16, '.')).toString('hex')

/** The session of each request of an operation. */
type SessionIds = (fact: Pick<Fact, 'method' | 'class'>) => string

/** The client itself, containerd's two tokens, one, or one and another from some blob on. */
function createSessionIds(random: Random, index: number, client: string): SessionIds {
  const style = random.below(4)
  if (style === 0) return () => hexOf(`client ${client}`)
  if (style === 1) return ({ method }) => hexOf(`${method} ${index}`)
  if (style === 2) return () => hexOf(`token ${index}`)
  let left = random.below(4)
  let isRenewed = false
  return (fact) => {
    left -= 1
    isRenewed ||= left < 0 && fact.class === 'blob'
    return hexOf(`${isRenewed ? 'renew' : 'token'} ${index}`)
  }
}

export function createTraffic(random: Random, operations: number, spanSeconds: number): Traffic {
  const requests: RequestEvent[] = []
  for (let index = 0; index < operations; index += 1) {
    const sharedToken = random.below(6)
    // Who keeps a token has an address of its own: of containerd's pairs it is no part.
    const client = sharedToken < 3 ? String(7 + sharedToken) : String(random.below(3))
    const sessionOf =
      sharedToken < 3 ? () => hexOf(`shared ${sharedToken}`) : createSessionIds(random, index, client)
    let at = random.next() * spanSeconds
    const pace = [0.02, 0.4, 3][random.below(3)] as number
    for (const line of scripts[random.below(scripts.length)] as string[]) {
      const isLong = line.includes('long') && random.below(3) === 0
      const took = isLong ? 25_000 + random.below(60_000) : random.below(900)
      const words = `${at.toFixed(3)} ${line.replace(' long', '')} took=${took}`
      const fact = parseFact(words, requests.length + 1)
      const sessionId = sessionOf(fact)
      const method = Buffer.from(sessionId, 'hex').toString().startsWith('client') ? 'client' : 'token'
      const { context } = fact
      const id = client.repeat(32)
      // Two nodes, of which each wrote its own records.
      const node = `node ${random.below(2)}`
      const one = { ...fact, sessionId, context: { ...context, session_method: method, node } } as const
      // The clock of records is finer than a ms.
      const duration_ms = took + random.next()
      requests.push({ ...toRequest(one), duration_ms, client: { ...context.client, id } })
      at += pace * random.next()
    }
  }
  return { requests, heartbeats: requests.flatMap(heartbeatsOf), manifests: [...createImageGraph().values()] }
}
