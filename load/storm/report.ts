/** What a storm came to, for people, and whether that is good enough. */
import type { StormOptions, StormResult } from './run.ts'

/** Shares that must be reached: of pulls exact in every field, or of cells with the right counts. */
export const aims = {
  token: { of: 'pulls', share: 0.999 },
  open: { of: 'pulls', share: 0.995 },
  nat: { of: 'cells', share: 0.95 },
} as const

const percent = (part: number, all: number): string =>
  all === 0 ? '-' : `${((100 * part) / all).toFixed(2)} %`

/** In words, what is not as it must be. */
export function judge(name: keyof typeof aims, result: StormResult): string[] {
  const failures = [...result.problems].map(([problem, times]) => `${problem} (${times} times)`)
  const { of, share } = aims[name]
  const [right, all] =
    of === 'pulls'
      ? [result.exact, Math.max(result.pulls, result.events)]
      : [result.cells.exact, result.cells.all]
  if (all === 0 || right / all < share)
    failures.push(`${percent(right, all)} of ${of} exact, the aim is ${(100 * share).toFixed(1)} %`)
  if (result.dropped === 0 && result.counted !== result.requests)
    failures.push(`${result.counted} requests in package events, not ${result.requests}`)
  return failures
}

export function printStorm(
  name: keyof typeof aims,
  options: StormOptions,
  result: StormResult,
  show: number,
): void {
  const { pulls, events, exact, cells, tookMs, requests } = result
  const isRehearsed = result.cpuMs.length === 0
  const seconds = (ms: number): string => (ms / 1000).toFixed(1)
  const cpuMs = result.cpuMs.reduce((sum, ms) => sum + ms, 0)
  const lines = [
    `## ${name}: ${pulls} pulls, seed ${options.seed}`,
    '',
    `${result.operations} clients of ${result.clients}; ${options.natGroup} behind an address; ` +
      `${options.nodes} nodes, clocks ${options.skewMs} ms apart; something goes wrong with ${100 * options.failures} %`,
    isRehearsed
      ? `${requests} requests to repositories in ${seconds(tookMs)} s of virtual time, without Waybill`
      : `${requests} requests to repositories in ${seconds(tookMs)} s; the last event ${seconds(result.settledMs)} s ` +
        `later; CPU time of Waybill ${seconds(cpuMs)} s, ${((1000 * cpuMs) / Math.max(1, requests)).toFixed(0)} µs a request`,
    '',
    '| | | |',
    '|---|--:|--:|',
    `| pulls exact in every field (recall) | ${exact} of ${pulls} | ${percent(exact, pulls)} |`,
    `| events that are such a pull (precision) | ${exact} of ${events} | ${percent(exact, events)} |`,
    `| cells with the right counts by type | ${cells.exact} of ${cells.all} | ${percent(cells.exact, cells.all)} |`,
    `| cells with the right counts by kind | ${cells.exactByKind} of ${cells.all} | ${percent(cells.exactByKind, cells.all)} |`,
    `| requests in package events | ${result.counted} of ${requests} | ${percent(result.counted, requests)} |`,
    `| pulls without event, events without pull | ${result.missing.length}, ${result.extra.length} | |`,
    `| addresses and clients with a wrong pseudonym | ${result.confused} | |`,
    `| dropped records | ${result.dropped} | |`,
    '',
    ...fieldLines(result, show),
    ...kindLines(result),
    ...strayLines(result, show),
  ]
  console.log(lines.join('\n'))
}

function fieldLines({ differences }: StormResult, show: number): string[] {
  const fields = Map.groupBy(differences, ({ field }) => field)
  if (fields.size === 0) return []
  const rows = [...fields].toSorted((a, b) => b[1].length - a[1].length)
  return [
    '| wrong field | times | examples: kind of client, what went wrong, expected → found |',
    '|---|--:|---|',
    ...rows.map(([field, wrong]) => {
      const examples = wrong.slice(0, show).map(({ truth, expected, found }) => {
        const { kind, failure, number } = truth.pull.operation
        return `${kind.name} ${number} (${failure ?? 'nothing'}): ${shorten(expected)} → ${shorten(found)}`
      })
      return `| ${field} | ${wrong.length} | ${examples.join('; ')} |`
    }),
    '',
  ]
}

const shorten = (text: string): string => text.replaceAll(/(sha256:.{8})[0-9a-f]+/g, '$1…')

/** Kinds of clients of which some are wrong. */
function kindLines({ byKind }: StormResult): string[] {
  const wrong = [...byKind].filter(([, { pulls, exact }]) => exact < pulls)
  if (wrong.length === 0) return []
  return [
    '| kind of client | pulls | exact |',
    '|---|--:|--:|',
    ...wrong.map(([name, { pulls, exact }]) => `| ${name} | ${pulls} | ${percent(exact, pulls)} |`),
    '',
  ]
}

function strayLines({ missing, extra, cells }: StormResult, show: number): string[] {
  const lost = missing.slice(0, 2 * show).map(({ pull, fields }) => {
    const { kind, failure, number } = pull.operation
    const steps = pull.exchanges.map(({ method, what, status }) => `${method} ${what} ${status}`).join(', ')
    return `no event: ${kind.name} ${number} (${failure ?? 'nothing'}), ${fields.get('kind')?.[0]}: ${steps}`
  })
  const stray = extra.slice(0, 2 * show).map((event) => {
    const { type, kind, repository, tag, requests, started_at, client } = event
    return `no pull: ${type} ${kind} ${repository}:${tag}, ${requests} requests, ${client.tool} ${client.version}, ${started_at}`
  })
  const wrong = cells.wrong.slice(0, 4 * show).map((cell) => `wrong cell: ${cell}`)
  const lines = [...lost, ...stray, ...wrong]
  return lines.length > 0 ? [...lines, ''] : []
}
