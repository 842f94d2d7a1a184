/** Projects a request event onto the fact that its session keeps. */
import type { Heartbeat, RequestEvent } from '../record/events.ts'
import type { Fact } from './types.ts'

type FactClass = Fact['class']

const factClasses: ReadonlySet<string> = new Set<FactClass>(['manifest', 'blob', 'tags', 'referrers'])

function isFactClass(value: string): value is FactClass {
  return factClasses.has(value)
}

/** null: no session counts this request (no session id, or not a read of a repository). */
export function factOf(event: RequestEvent | Heartbeat): Fact | null {
  const { session_id: sessionId, session_method: sessionMethod, repository, method } = event
  if (sessionId === null || sessionMethod === null || repository === null) return null
  if ((method !== 'GET' && method !== 'HEAD') || !isFactClass(event.class)) return null
  return {
    id: event.id,
    heartbeat: event.schema === 'waybill.heartbeat/1',
    sessionId,
    time: Date.parse(event.time),
    // Whole ms, as stores keep it: an event must not depend on where its facts were meanwhile.
    durationMs: Math.round(event.duration_ms),
    method,
    class: event.class,
    reference: event.reference,
    digest: event.digest,
    status: event.status,
    outcome: event.outcome,
    bytesSent: event.bytes_sent,
    offset: event.offset,
    size: event.size,
    aborted: event.aborted,
    context: {
      session_method: sessionMethod,
      domain: event.domain,
      repository,
      upstream: event.upstream,
      upstream_repository: event.upstream_repository,
      client: event.client,
      geo: event.geo,
      network: event.network,
      company: event.company,
      data: event.data,
      privacy: event.privacy,
      node: event.node,
    },
  }
}
