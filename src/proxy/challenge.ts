/**
 * Reads `WWW-Authenticate` (RFC 9110 11.6.1): what a registry wants to be asked with.
 */

export type Challenge = {
  scheme: 'bearer' | 'basic'
  /** Of Bearer: the URL of the token service, as it was written. */
  realm: string
  service: string
  /** RFC 6750 3.1, made of letters and underscores; '' without one. */
  error: string
}

type Read = { scheme: string; parameters: Map<string, string> }

// A scheme, or one parameter of the scheme before; commas stand between both (RFC 9110 11.2, 5.6.2, 5.6.4).
const token = "[\\w!#$%&'*+.^`|~-]+"
const part = new RegExp(`[\\s,]*(${token})(?:\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,"]*)))?`, 'y')

function readAll(header: string): Read[] {
  const all: Read[] = []
  part.lastIndex = 0
  for (let found = part.exec(header); found; found = part.exec(header)) {
    const [, name = '', quoted, plain] = found
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain
    if (value === undefined) {
      all.push({ scheme: name.toLowerCase(), parameters: new Map() })
      continue
    }
    const parameters = all.at(-1)?.parameters
    // The first of a name counts: a second one is a quarrel.
    if (parameters && !parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), value)
  }
  return all
}

/**
 * The challenge to follow: Bearer where there is one with a URL, else Basic; null for any other scheme.
 * `header`: all lines of the field, joined by commas.
 */
export function parseChallenge(header: string): Challenge | null {
  const all = readAll(header)
  for (const { scheme, parameters } of all) {
    const realm = parameters.get('realm') ?? ''
    if (scheme !== 'bearer' || !URL.canParse(realm)) continue
    return { scheme, realm, service: parameters.get('service') ?? '', error: errorOf(parameters) }
  }
  const basic = all.find(({ scheme }) => scheme === 'basic')
  return basic ? { scheme: 'basic', realm: '', service: '', error: errorOf(basic.parameters) } : null
}

function errorOf(parameters: ReadonlyMap<string, string>): string {
  const error = parameters.get('error') ?? ''
  return /^[a-z_]{1,64}$/.test(error) ? error : ''
}
