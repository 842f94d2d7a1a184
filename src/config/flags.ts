/**
 * Reads settings from the flags of `serve` and from the variables.
 */
import { createReading, nameKey, problem, type Reading, readValue, type Source, show } from './findings.ts'
import { configFlag, settingsByKey } from './schema.ts'
import type { Setting } from './setting.ts'
import { suggest } from './suggestion.ts'

export type FlagReading = Reading & {
  /** The config file that is asked for. */
  config: { path: string; source: Source } | null
}

const variablePrefix = 'WAYBILL_'

type Target = { key: string; setting: Setting } | 'config'

function byName(nameOf: (named: { flag?: string; variable?: string }) => string | undefined) {
  const targets = new Map<string, Target>([[nameOf(configFlag)!, 'config']])
  for (const [key, setting] of settingsByKey) {
    const name = nameOf(setting)
    if (name !== undefined) targets.set(name, { key, setting })
  }
  return targets
}

const flags = byName(({ flag }) => (flag === undefined ? undefined : `--${flag}`))
const variables = byName(({ variable }) => variable)

function take(reading: FlagReading, target: Target, texts: readonly string[], source: Source): void {
  if (target === 'config') {
    reading.config = { path: texts[0]!, source }
    return
  }
  const { key, setting } = target
  const parts = setting.list ? texts.flatMap((text) => text.split(',')).map((part) => part.trim()) : texts
  const found = parts.map((text, index) => {
    const place = setting.list && parts.length > 1 ? `${key}[${index}]` : key
    return readValue(setting, { key: place, text, source }, reading.problems)
  })
  reading.given.add(key)
  if (found.every((one) => one !== undefined)) reading.found.set(key, found)
}

/** `prefix`: what all of the names begin with, which must not make them alike. */
function near(name: string, prefix: string, known: Iterable<string>): string {
  const rest = (full: string) => full.slice(prefix.length)
  const nearest = suggest(rest(name), [...known].map(rest))
  return nearest === undefined ? 'see "waybill serve --help"' : `did you mean ${prefix}${nearest}?`
}

function createFlagReading(): FlagReading {
  return { ...createReading(), config: null }
}

/** `--flag value` and `--flag=value`; a list may be given in several flags. */
export function readFlags(argv: readonly string[], cwd: string): FlagReading {
  const reading = createFlagReading()
  const texts = new Map<string, string[]>()
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!
    if (!argument.startsWith('--') || argument === '--') {
      reading.problems.push(`${show(argument)}: unexpected argument; expected flags like --upstream URL`)
      continue
    }
    const equals = argument.indexOf('=')
    const name = equals === -1 ? argument : argument.slice(0, equals)
    let text = equals === -1 ? undefined : argument.slice(equals + 1)
    if (text === undefined && argv[i + 1] !== undefined && !argv[i + 1]!.startsWith('--')) text = argv[++i]
    const target = flags.get(name)
    if (target === undefined) {
      // Without its value, which might be a secret under a mistyped name.
      reading.problems.push(`${nameKey(name)}: unknown flag: ${near(name, '--', flags.keys())}`)
    } else if (text === undefined || text === '') {
      const expected = target === 'config' ? 'a config file' : target.setting.kind.expected
      reading.problems.push(`${name}: has no value: expected ${expected}`)
    } else {
      texts.set(name, [...(texts.get(name) ?? []), text])
    }
  }
  for (const [name, values] of texts) {
    const target = flags.get(name)!
    const source = { name, dir: cwd }
    const single = target === 'config' || !target.setting.list
    if (single && values.length > 1) {
      const shown = values.map((text) => show(text)).join(' and ')
      reading.problems.push(
        problem(target === 'config' ? 'config' : target.key, shown, source, 'given twice'),
      )
    } else {
      take(reading, target, values, source)
    }
  }
  return reading
}

/**
 * What Kubernetes and Docker links put into every container for a service called `waybill`,
 * `waybill-redis` and the like (kubernetes.io "Accessing the Service", environment variables).
 */
const serviceLink = /_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/
const servicePort = /^(tcp|udp|sctp):\/\//

function isServiceLink(name: string, text: string): boolean {
  return serviceLink.test(name) || (name.endsWith('_PORT') && servicePort.test(text))
}

/** A variable that is set but empty counts as not set, as in compose files (`${REDIS:-}`). */
export function readVariables(env: Readonly<Record<string, string | undefined>>, cwd: string): FlagReading {
  const reading = createFlagReading()
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(variablePrefix) || text === undefined || text === '') continue
    const target = variables.get(name)
    if (target !== undefined) take(reading, target, [text], { name, dir: cwd })
    else if (!isServiceLink(name, text)) {
      reading.problems.push(
        `${nameKey(name)}: unknown variable: ${near(name, variablePrefix, variables.keys())}`,
      )
    }
  }
  return reading
}
