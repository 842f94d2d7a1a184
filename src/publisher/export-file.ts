/**
 * Exports of the topics `waybill.requests` and `waybill.manifests` as files with one JSON value a line, checked as far
 * as package events can be made from them.
 */
import { createReadStream } from 'node:fs'
import type { Manifest, RequestEvent } from '../record/events.ts'

/** What a field must be; the schemas only add fields, so that those not named here may be missing. */
type Shape = (value: unknown) => string | null

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const need =
  (expected: string, holds: (value: unknown) => boolean): Shape =>
  (value) =>
    holds(value) ? null : `expected ${expected}`
const orNull =
  (shape: Shape): Shape =>
  (value) =>
    value === null ? null : shape(value)

const text = need('a string', (value) => typeof value === 'string')
const truth = need('true or false', (value) => typeof value === 'boolean')
const count = need('a number, 0 or more', (value) => typeof value === 'number' && value >= 0)
const id = need('32 hex digits', (value) => typeof value === 'string' && /^[0-9a-f]{32}$/.test(value))
const digest = need('a digest', (value) => typeof value === 'string' && /^[a-z0-9+._-]+:\S+$/.test(value))
const time = need(
  'an RFC 3339 time',
  (value) =>
    typeof value === 'string' && /^\d{4}-\d\d-\d\dT.*Z$/.test(value) && !Number.isNaN(Date.parse(value)),
)
const object = need('an object', isObject)
const word = (...words: string[]): Shape =>
  need(`one of ${words.join(', ')}`, (value) => words.some((one) => one === value))
const list = (fields: Record<string, Shape>): Shape =>
  need(
    'a list of descriptors',
    (value) =>
      Array.isArray(value) && value.every((item) => isObject(item) && findWrong(item, fields) === null),
  )

const descriptor = { digest, size: count, media_type: text }

const requestShape: Record<string, Shape> = {
  id,
  time,
  session_id: orNull(id),
  session_method: orNull(word('token', 'client')),
  method: text,
  class: text,
  domain: orNull(text),
  repository: orNull(text),
  reference: orNull(text),
  digest: orNull(digest),
  status: count,
  outcome: text,
  bytes_sent: count,
  offset: count,
  size: orNull(count),
  duration_ms: count,
  upstream: orNull(text),
  upstream_repository: orNull(text),
  aborted: truth,
  client: object,
  geo: object,
  network: object,
  company: orNull(object),
  data: object,
  privacy: object,
  node: text,
}

const manifestShape: Record<string, Shape> = {
  digest,
  size: count,
  media_type: text,
  kind: word('index', 'image', 'helm', 'signature', 'attestation', 'sbom', 'other'),
  subject: orNull(digest),
  config: orNull(need('a descriptor', (value) => isObject(value) && findWrong(value, descriptor) === null)),
  layers: list({ ...descriptor, foreign: truth }),
  manifests: list({ ...descriptor, platform: orNull(text), attestation_of: orNull(digest) }),
}

const streams = {
  requests: { schema: 'waybill.request-event/1', shape: requestShape },
  manifests: { schema: 'waybill.manifest/1', shape: manifestShape },
} as const

type Entries = { requests: RequestEvent; manifests: Manifest }

/** `name: what is wrong` of the first field that is. */
function findWrong(value: Record<string, unknown>, fields: Record<string, Shape>): string | null {
  for (const [name, shape] of Object.entries(fields)) {
    if (!Object.hasOwn(value, name)) return `${name}: is missing`
    const wrong = shape(value[name])
    if (wrong !== null) return `${name}: ${wrong}`
  }
  return null
}

/** A name that is no schema's can be anything. */
const longestShown = 60

function checkEntry(value: unknown, stream: keyof typeof streams): string | null {
  const { schema, shape } = streams[stream]
  if (!isObject(value)) return 'expected a JSON object'
  if (value['schema'] !== schema) {
    const shown = JSON.stringify(value['schema']) ?? 'none'
    return `schema: ${shown.slice(0, longestShown)}: expected "${schema}"`
  }
  return findWrong(value, shape)
}

function parseLine(line: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(line) }
  } catch {
    return null
  }
}

/** By LF alone: a string of JSON may hold what else ends a line elsewhere (U+2028). */
async function* readLines(path: string): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of createReadStream(path, { encoding: 'utf8' })) {
    const lines = (rest + (chunk as string)).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  yield rest
}

/** More problems are counted, not told. */
const mostProblems = 10

/**
 * Gives each entry to `take`; returns one line for each problem, with file and line number. Empty lines are passed
 * over, and `null`, which a compacted topic has for what was deleted.
 */
export async function readExport<Stream extends keyof Entries>(
  path: string,
  stream: Stream,
  take: (entry: Entries[Stream]) => void,
): Promise<string[]> {
  const problems: string[] = []
  let number = 0
  let wrong = 0
  try {
    for await (const line of readLines(path)) {
      number += 1
      if (line.trim() === '') continue
      const parsed = parseLine(line)
      if (parsed?.value === null) continue
      const problem = parsed === null ? 'is no JSON' : checkEntry(parsed.value, stream)
      if (problem === null) take(parsed?.value as Entries[Stream])
      else if (++wrong <= mostProblems) problems.push(`${path} line ${number}: ${problem}`)
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    problems.push(`${path}: cannot be read: ${code ?? message}`)
  }
  if (wrong > mostProblems) problems.push(`${path}: ${wrong - mostProblems} more lines are wrong`)
  return problems
}
