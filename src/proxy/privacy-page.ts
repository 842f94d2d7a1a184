/** What `GET /privacy` answers: what is kept of a pull, how long and by whom, for people and for programs. */
import type { Config } from '../config/types.ts'
import { type HeaderBlock, headerBlock } from './respond.ts'

export type PrivacyPage = {
  html: { headers: HeaderBlock; body: Buffer }
  json: { headers: HeaderBlock; body: Buffer }
}

/** For as long as a session may still end under its key; see workers/keyring.ts. */
const graceMs = 30 * 60_000

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (sign) => escapes[sign] ?? sign)

/** `90 minutes` as `1 hour 30 minutes`; whole units alone. */
function duration(ms: number): string {
  const units = [
    [86_400_000, 'day'],
    [3_600_000, 'hour'],
    [60_000, 'minute'],
    [1000, 'second'],
  ] as const
  let left = ms
  const parts = units.flatMap(([unitMs, name]) => {
    const count = Math.floor(left / unitMs)
    left -= count * unitMs
    return count === 0 ? [] : [`${count} ${name}${count === 1 ? '' : 's'}`]
  })
  return parts.join(' ') || 'less than a second'
}

function describe(
  config: Pick<Config, 'privacy' | 'geo' | 'retention' | 'kafka' | 'redis' | 'log' | 'domains'>,
) {
  const { privacy, geo, retention } = config
  const routes = config.domains.flatMap((domain) => domain.routes)
  const place = { country: 'country', region: 'country and region', city: 'country, region and city' }
  const pseudonymMs = privacy.rotationMs + Math.min(graceMs, privacy.rotationMs)
  return {
    operator: privacy.operator,
    contact: privacy.contact,
    purpose: privacy.purpose ?? 'to count how packages are pulled',
    address: {
      kept: false,
      used_for: `${place[geo.detail]}, network and company, looked up in local databases; then replaced by pseudonyms`,
      pseudonyms: {
        fields: ['client.id', 'client.endpoint_id'],
        made_with: 'HMAC-SHA-256 under a random key; of IPv6 the first 64 bits',
        key_rotation: duration(privacy.rotationMs),
        linkable_at_most: duration(pseudonymMs),
        afterwards: 'the key is destroyed: nobody can compute or compare the pseudonyms again',
      },
    },
    kept_of_a_pull: [
      'what was pulled: registry, repository, tag, digest, platform, sizes',
      'when, how long it took, and whether it was complete',
      'the tool and its version, its operating system and architecture',
      place[geo.detail],
      'network (number, organization, type, cloud region) and, where it is one, company',
      'pseudonyms of the client, as above',
    ],
    not_kept: ['address', 'credentials and tokens', 'account names', 'cookies', 'the whole User-Agent'],
    kept_for: {
      package_events: retention.eventsMs === 0 ? 'not kept here' : duration(retention.eventsMs),
      request_events: retention.requestsMs === 0 ? 'not kept here' : duration(retention.requestsMs),
      local_log: duration(config.log.maxAgeMs),
      handed_to:
        config.kafka === null ? null : 'a message queue of the operator, which keeps them by its own rules',
    },
    opt_out: {
      headers: ['DNT: 1', 'Sec-GPC: 1'],
      effect: 'the request is served and counted in a total, and nothing of it is recorded',
    },
    others_that_see_the_address: routes.some(({ blobs }) => blobs === 'redirect')
      ? 'the storage or content network that layers are fetched from: clients are redirected there and connect to it themselves'
      : 'nobody through this service: layers are sent by it',
  }
}

type Page = ReturnType<typeof describe>

function renderHtml(page: Page): string {
  const list = (items: readonly string[]) =>
    `<ul>${items.map((item) => `<li>${escapeHtml(item)}</li>`).join('')}</ul>`
  const { pseudonyms } = page.address
  const rows = [
    ['Operator', page.operator ?? 'not told'],
    ['Contact', page.contact ?? 'not told'],
    ['Purpose', page.purpose],
    ['Package events are kept', page.kept_for.package_events],
    ['Request events are kept', page.kept_for.request_events],
    ['Local log', `at most ${page.kept_for.local_log}`],
    ...(page.kept_for.handed_to === null ? [] : [['Handed to', page.kept_for.handed_to]]),
  ]
  const table = rows
    .map(([name = '', value = '']) => `<tr><th>${escapeHtml(name)}<td>${escapeHtml(value)}`)
    .join('')
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Privacy</title><h1>Privacy of this registry</h1>
<table>${table}</table>
<h2>Your address</h2><p>It is not kept. Used for: ${escapeHtml(page.address.used_for)}
(${pseudonyms.made_with}, a new key every ${pseudonyms.key_rotation}). Pseudonyms of one client can be linked for
${pseudonyms.linkable_at_most} at most; then ${escapeHtml(pseudonyms.afterwards)}.</p>
<p>Who else sees it: ${escapeHtml(page.others_that_see_the_address)}.</p>
<h2>Kept of a pull</h2>${list(page.kept_of_a_pull)}<h2>Not kept</h2>${list(page.not_kept)}
<h2>If you do not want to be recorded</h2><p>Send ${page.opt_out.headers.join(' or ')}: ${page.opt_out.effect}.</p>
<p><a href="https://db-ip.com">IP Geolocation by DB-IP</a></p></html>
`
}

/** Made once: it changes with the config alone. */
export function createPrivacyPage(config: Parameters<typeof describe>[0]): PrivacyPage {
  const page = describe(config)
  const shared = [
    ['Cache-Control', 'max-age=300'],
    ['Vary', 'Accept'],
    ['X-Content-Type-Options', 'nosniff'],
    ['Content-Security-Policy', "default-src 'none'"],
  ] as const
  return {
    html: {
      headers: headerBlock([['Content-Type', 'text/html; charset=utf-8'], ...shared]),
      body: Buffer.from(renderHtml(page)),
    },
    json: {
      headers: headerBlock([['Content-Type', 'application/json'], ...shared]),
      body: Buffer.from(`${JSON.stringify(page, null, 2)}\n`),
    },
  }
}

/** JSON for whoever names it, unless HTML is named too, as browsers do (RFC 9110 12.5.1; no weights). */
export function wantsJson(accept: string): boolean {
  return /application\/(?:[\w.+-]+\+)?json/i.test(accept) && !/text\/html/i.test(accept)
}
