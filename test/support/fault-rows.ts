/** What a row of the fault table in docs/operations.md says, and how it is written there. */
import type { Waybill } from './waybill.ts'

export type FaultRow = {
  fault: string
  /** Status that a client gets for a manifest meanwhile; `refused`: nobody listens. */
  clients: number | 'refused'
  /** null: it runs on. */
  exitCode: number | null
  /** null: the admin server is gone, or was never there. */
  ready: {
    code: number
    status: string
    dependency?: string
    /** The last of the list is what it comes to as long as it is used; the others may be seen before. */
    states?: readonly string[]
    why?: readonly string[]
  } | null
  /** `…` stands for what differs from one machine to another. `stderr`: a plain line, before there is a log. */
  log: readonly { level: 'stderr' | 'info' | 'warn' | 'error'; msg: string }[]
  metric: { name: string; labels: Readonly<Record<string, string>>; value: '0' | '> 0' | 'absent' } | null
  arrange(): Promise<Scene>
}

export type Scene =
  /** A start that was refused. */
  | { ended: { code: number; stderr: string } }
  /** One that runs, with the fault. */
  | RunningScene

export type RunningScene = {
  waybill: Waybill
  /** Without one request its state is known. */
  quiet?: boolean
  /** Its stop would wait for deliveries as long as it may. */
  waits?: boolean
  /** The status that a client gets now. */
  ask(): Promise<number>
  /** Takes the fault away: everything is to be well again after it. */
  recover?(): unknown
  /** Further promises of this row, before and after the fault is taken away. */
  meanwhile?(): Promise<void>
  afterwards?(): Promise<void>
  cleanUp(): Promise<unknown>
}

export const columns = ['fault', 'clients', 'exit', '`/readyz`', 'log', 'metric'] as const

/** A cell cannot hold a bar. */
const code = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``

function clientsCell({ clients }: FaultRow): string {
  if (clients === 'refused') return 'connection refused'
  return clients === 200 ? '200: pulls go on' : String(clients)
}

function readyCell({ ready }: FaultRow): string {
  if (ready === null) return 'no answer'
  const { code: status, dependency, states, why } = ready
  if (dependency === undefined || states === undefined) return `${status} ${code(ready.status)}`
  const reasons = (why ?? []).map(code).join(' or ')
  return `${status}; ${code(dependency)} ${states.join(', then ')}${reasons === '' ? '' : `: ${reasons}`}`
}

function metricCell({ metric }: FaultRow): string {
  if (metric === null) return '–'
  const labels = Object.entries(metric.labels).map(([name, value]) => `${name}="${value}"`)
  const name = `${metric.name}${labels.length > 0 ? `{${labels.join(',')}}` : ''}`
  return `${code(name)} ${metric.value}`
}

function cellsOf(row: FaultRow): string[] {
  return [
    row.fault,
    clientsCell(row),
    row.exitCode === null ? 'runs on' : String(row.exitCode),
    readyCell(row),
    row.log.map(({ level, msg }) => `${level}: ${code(msg)}`).join('<br>') || '–',
    metricCell(row),
  ]
}

/** A table of Markdown; its columns are not aligned, for some cells are long. */
export function renderFaultTable(rows: readonly FaultRow[]): string {
  const table = [[...columns], columns.map(() => '---'), ...rows.map(cellsOf)]
  return table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Whether a text is what the table says, `…` being anything. */
export function matchesShown(shown: string, text: string): boolean {
  const parts = shown.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.+')}$`).test(text)
}
