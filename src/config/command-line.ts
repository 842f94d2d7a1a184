/**
 * What the command `waybill` was asked to do.
 */
import { show } from './findings.ts'
import { type CommandName, commandNames, helpOf, helpText } from './help.ts'
import { joinOr, parseDuration } from './kinds.ts'
import { suggest } from './suggestion.ts'

export const eventFormats = ['ndjson', 'csv'] as const
export type EventFormat = (typeof eventFormats)[number]

export type Command =
  /** `argv` goes to `loadConfig`. */
  | { command: 'serve'; argv: string[] }
  | { command: 'check'; file: string }
  /** `sinceMs`: Unix ms, null: all. `data`: as given, null: not given. */
  | { command: 'events'; sinceMs: number | null; follow: boolean; format: EventFormat; data: string | null }
  /** `argv` goes to `loadConfig`: it says where the data folder is. `cloudFiles`: as given. */
  | { command: 'geo-install'; argv: string[]; ifMissing: boolean; cloud: boolean; cloudFiles: string[] }
  /** `argv` goes to `findSessionRules`. Files as given. */
  | { command: 'rebuild'; requests: string; manifests: string; format: EventFormat; argv: string[] }
  | { command: 'version' }
  /** `asked` is false when there was no command at all: that is a mistake, and help is the answer. */
  | { command: 'help'; text: string; asked: boolean }

export type Problems = { problems: string[] }

const helpFlags: readonly string[] = ['--help', '-h', 'help']
const versionFlags: readonly string[] = ['--version', '-V', 'version']

/** `argv`: without Node and script. `nowMs`: Unix time that a duration in `--since` is counted back from. */
export function parseCommand(argv: readonly string[], nowMs: number): Command | Problems {
  const [first, ...rest] = argv
  if (first === undefined) return { command: 'help', text: helpText, asked: false }
  const name = commandNames.find((known) => known === first)
  if (name !== undefined) return wantsHelp(rest) ? help(name) : parsers[name](rest, nowMs)
  if (helpFlags.includes(first)) return help(commandNames.find((known) => known === rest[0]))
  if (versionFlags.includes(first)) return { command: 'version' }
  const expected = `expected ${joinOr(commandNames)}, --version or --help`
  if (first.startsWith('-')) {
    return {
      problems: [
        `${show(first)}: a flag without a command; ${expected}, like "waybill serve --upstream URL"`,
      ],
    }
  }
  const near = suggest(first, commandNames)
  const tail = near === undefined ? expected : `did you mean ${near}?`
  return { problems: [`${show(first)}: unknown command; ${tail}`] }
}

function help(name: CommandName | undefined): Command {
  return { command: 'help', text: name === undefined ? helpText : helpOf(name), asked: true }
}

function wantsHelp(args: readonly string[]): boolean {
  return args.includes('--help') || args.includes('-h')
}

const parsers: Readonly<Record<CommandName, (args: string[], nowMs: number) => Command | Problems>> = {
  serve: (args) => ({ command: 'serve', argv: args }),
  check: parseCheck,
  events: parseEvents,
  geo: parseGeo,
  replay: () => ({ problems: ['replay: not yet: it comes in a later version'] }),
}

function parseCheck(args: readonly string[]): Command | Problems {
  const [file, ...others] = args
  if (file === undefined)
    return { problems: ['check: expected a config file, like "waybill check waybill.yaml"'] }
  const wrong = [file, ...others].filter((arg, index) => index > 0 || arg === '' || arg.startsWith('-'))
  if (wrong.length === 0) return { command: 'check', file }
  return { problems: wrong.map((arg) => `${show(arg)}: unexpected argument; expected one config file`) }
}

const geoFlags = ['--data', '--config', '--if-missing', '--cloud', '--cloud-file']

/** With `--if-missing`, which `make run` passes its own flags to, all others are those of `serve`, which judges them. */
function parseGeo(args: readonly string[]): Command | Problems {
  const [word, ...rest] = args
  if (word !== 'install') return { problems: ['geo: expected "geo install"'] }
  const command = { command: 'geo-install' as const, ifMissing: false, cloud: false }
  const argv: string[] = []
  const cloudFiles: string[] = []
  for (let i = 0; i < rest.length; i++) {
    const [, name = '', , inline] = /^(--[^=]*)(=(.*))?$/s.exec(rest[i]!) ?? []
    if (rest[i] === '--if-missing') command.ifMissing = true
    else if (rest[i] === '--cloud') command.cloud = true
    else if (name === '--cloud-file') {
      const file = inline ?? rest[++i]
      if (file === undefined || file === '' || file.startsWith('--')) {
        return { problems: ['--cloud-file: has no value: expected a file'] }
      }
      cloudFiles.push(file)
    } else argv.push(rest[i]!)
  }
  const { problems } = command.ifMissing ? { problems: [] } : readFlagTexts(argv, geoFlags, [])
  return problems.length > 0 ? { problems } : { ...command, argv, cloudFiles }
}

type FlagTexts = { texts: ReadonlyMap<string, string>; problems: string[] }

/** `switches`: those of the flags that take no value. */
function readFlagTexts(
  args: readonly string[],
  known: readonly string[],
  switches: readonly string[],
): FlagTexts {
  const problems: string[] = []
  const texts = new Map<string, string>()
  for (let i = 0; i < args.length; i++) {
    const [, name = '', , inline] = /^(--[^=]*)(=(.*))?$/s.exec(args[i]!) ?? []
    const flag = known.find((one) => one === name)
    if (flag === undefined) {
      const near = suggest(name, known)
      const tail = near === undefined ? `expected ${joinOr(known)}` : `did you mean ${near}?`
      problems.push(`${show(args[i]!)}: unexpected argument; ${tail}`)
      continue
    }
    const isSwitch = switches.includes(flag)
    const next = args[i + 1]?.startsWith('--') ? undefined : args[i + 1]
    if (!isSwitch && inline === undefined && next !== undefined) i++
    const text = inline ?? (isSwitch ? 'on' : next)
    if (texts.has(flag)) problems.push(`${flag}: given twice`)
    else if (text === undefined || text === '') problems.push(`${flag}: has no value`)
    else if (isSwitch && inline !== undefined) problems.push(`${flag}: takes no value`)
    else texts.set(flag, text)
  }
  return { texts, problems }
}

function readFormat({ texts, problems }: FlagTexts): EventFormat | undefined {
  const text = texts.get('--format') ?? eventFormats[0]
  const format = eventFormats.find((known) => known === text)
  if (format === undefined) problems.push(`--format: ${show(text)}: expected ${joinOr(eventFormats)}`)
  return format
}

const eventFlags = ['--since', '--follow', '--format', '--data']

function parseEvents(args: readonly string[], nowMs: number): Command | Problems {
  if (args[0] === 'rebuild') return parseRebuild(args.slice(1))
  const flags = readFlagTexts(args, eventFlags, ['--follow'])
  const { texts, problems } = flags
  const sinceText = texts.get('--since')
  const sinceMs = sinceText === undefined ? null : parseSince(sinceText, nowMs)
  if (sinceText !== undefined && sinceMs === undefined) {
    const expected = 'expected a time like 2026-01-31T12:00:00Z, a date, or a duration like 24h'
    problems.push(`--since: ${show(sinceText)}: ${expected}`)
  }
  const format = readFormat(flags)
  if (problems.length > 0 || sinceMs === undefined || format === undefined) return { problems }
  const data = texts.get('--data') ?? null
  return { command: 'events', sinceMs, follow: texts.has('--follow'), format, data }
}

const rebuildFlags = ['--requests', '--manifests', '--format', '--config', '--session-idle']

function parseRebuild(args: readonly string[]): Command | Problems {
  const flags = readFlagTexts(args, rebuildFlags, [])
  const { texts, problems } = flags
  const format = readFormat(flags)
  const [requests, manifests] = [texts.get('--requests'), texts.get('--manifests')]
  for (const [flag, topic] of [
    ['--requests', 'waybill.requests'],
    ['--manifests', 'waybill.manifests'],
  ] as const) {
    if (texts.has(flag) || problems.some((line) => line.startsWith(`${flag}:`))) continue
    problems.push(`events rebuild: expected ${flag} FILE, an export of ${topic} with one JSON value a line`)
  }
  if (problems.length > 0 || requests === undefined || manifests === undefined || format === undefined)
    return { problems }
  const argv = ['--config', '--session-idle'].flatMap((flag) => {
    const text = texts.get(flag)
    return text === undefined ? [] : [flag, text]
  })
  return { command: 'rebuild', requests, manifests, format, argv }
}

/** RFC 3339, or a date alone. */
const timePattern = /^(\d{4}-\d{2}-\d{2})(?:T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2}))?$/

function parseSince(text: string, nowMs: number): number | undefined {
  const durationMs = parseDuration(text)
  if (durationMs !== undefined) return nowMs - durationMs
  const [, date] = timePattern.exec(text) ?? []
  if (date === undefined) return undefined
  const atMs = Date.parse(text)
  // The parser rolls a date like 02-30 over to March.
  const isRealDate = !Number.isNaN(atMs) && new Date(date).toISOString().startsWith(date)
  return isRealDate ? atMs : undefined
}
