/**
 * Tags and referrers lists: relayed, with the upstream's names in `Link` and in the body's `name` turned
 * into the client's (OCI distribution spec 1.1, "Listing Tags", "Listing Referrers").
 */
import type { Exchange } from './exchange.ts'
import type { Relay, RelayPlan } from './relay.ts'

export const listPlan: RelayPlan = {
  head(relay) {
    const { exchange, fields, status } = relay
    if (fields.link !== '') {
      const link = rewriteLink(fields.link, exchange)
      if (link !== '') relay.addHeader('Link', link)
    }
    const renamed = exchange.record.repository !== exchange.record.upstreamRepository
    return renamed && status === 200 && exchange.record.class === 'tags' && !exchange.isHead
      ? 'hold'
      : 'relay'
  },
  finish: renameList,
}

// The name stands at the first level, as `"name": "<upstream's name>"`; nothing else of the body is touched.
const namePattern = /("name"\s*:\s*)"((?:[^"\\]|\\.)*)"/

function renameList(relay: Relay, body: Buffer): Buffer {
  const { repository, upstreamRepository } = relay.exchange.record
  const text = body.toString('utf8')
  const renamed = text.replace(namePattern, (whole, before: string, name: string) =>
    name === upstreamRepository ? `${before}${JSON.stringify(repository)}` : whole,
  )
  return renamed === text ? body : Buffer.from(renamed)
}

/** Only the query of the upstream's next page is kept: path and host are this front's (RFC 8288). */
function rewriteLink(link: string, exchange: Exchange): string {
  const found = /<([^>]*)>\s*;[^,]*\brel\s*=\s*"?next"?/i.exec(link)
  if (!found) return ''
  const target = found[1] as string
  const query = target.includes('?') ? target.slice(target.indexOf('?')) : ''
  const { record } = exchange
  const list = record.class === 'tags' ? 'tags/list' : `referrers/${record.reference}`
  return `</v2/${record.repository}/${list}${query}>; rel="next"`
}
