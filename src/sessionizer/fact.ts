/** Projects a request event onto the fact that its session keeps. */
import type { Heartbeat, RequestEvent } from '../record/events.ts'
import type { Fact, FactContext } from './types.ts'

type FactClass = Fact['class']

const factClasses: ReadonlySet<string> = new Set<FactClass>(['manifest', 'blob', 'tags', 'referrers'])

function isFactClass(value: string): value is FactClass {
  return factClasses.has(value)
}

function sameFields(a: object | null, b: object | null): boolean {
  if (a === b) return true
  if (a === null || b === null) return false
  const other = b as Record<string, unknown>
  for (const [name, value] of Object.entries(a)) if (other[name] !== value) return false
  return true
}

/** Whether the event can share a fact's context: most of a session do. */
function isSameContext(a: FactContext, b: RequestEvent | Heartbeat): boolean {
  return (
    a.session_method === b.session_method &&
    a.domain === b.domain &&
    a.repository === b.repository &&
    a.upstream === b.upstream &&
    a.upstream_repository === b.upstream_repository &&
    a.node === b.node &&
    sameFields(a.client, b.client) &&
    sameFields(a.geo, b.geo) &&
    sameFields(a.network, b.network) &&
    sameFields(a.company, b.company) &&
    sameFields(a.data, b.data) &&
    sameFields(a.privacy, b.privacy)
  )
}

/**
 * null: no session counts this request (no session id, or not a read of a repository). `before`: a context of the
 * session, which the fact takes if it is its own.
 */
export function factOf(event: RequestEvent | Heartbeat, before?: FactContext): Fact | null {
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
    context:
      before !== undefined && isSameContext(before, event)
        ? before
        : {
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
