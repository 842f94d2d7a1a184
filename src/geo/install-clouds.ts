/**
 * Makes the table of the clouds' ranges of lists that are got from their sites or handed in. A list that cannot be had
 * leaves what the table before said of its provider, and costs the others nothing.
 */
import { readFile } from 'node:fs/promises'
import { type CloudList, type CloudRange, compileClouds, readCloudList } from './cloud.ts'
import { cidrsOf, shareBytes } from './range-builder.ts'
import { openTable, type RangeTable } from './range-table.ts'

export type CloudSources = {
  /** Got at once, each within `timeoutMs`. */
  lists: readonly CloudList[]
  /** Paths of lists that the operator got. */
  files: readonly string[]
  /** Path of the table before, if there is one. */
  previous: string
  timeoutMs?: number
  maxBytes?: number
  /** A line for people. */
  tell(line: string): void
}

export type CloudTable = {
  /** null: no list could be had, and the table before stays. */
  bytes: Uint8Array | null
  /** One line for each list that could not be had. */
  problems: string[]
}

type Found = { name: string; ranges: CloudRange[] } | { name: string; problem: string }

const defaultTimeoutMs = 60_000
/** The largest, of AWS, has 3 MB. */
const defaultMaxBytes = 64 * 1024 * 1024

export async function makeClouds(sources: CloudSources): Promise<CloudTable> {
  const { lists, files, previous, tell } = sources
  const all = await Promise.all([
    ...files.map((file) => readListFile(file)),
    ...lists.map((list) => getList(list, sources)),
  ])
  const problems: string[] = []
  const ranges: CloudRange[] = []
  for (const found of all) {
    if ('problem' in found) problems.push(`${found.name}: ${found.problem}`)
    else {
      ranges.push(...found.ranges)
      tell(`${found.name}: ${found.ranges.length} ranges`)
    }
  }
  if (ranges.length === 0) return { bytes: null, problems }
  const known = await openPrevious(previous)
  const renewed = new Set(ranges.map(({ provider }) => provider))
  const kept = known === null ? [] : rangesOf(known).filter(({ provider }) => !renewed.has(provider))
  for (const provider of new Set(kept.map(({ provider }) => provider))) {
    tell(`${provider}: as it was, not got this time`)
  }
  // As old as the oldest part.
  const builtMs = kept.length > 0 ? (known?.meta.builtMs ?? null) : Date.now()
  return { bytes: compileClouds([...kept, ...ranges], builtMs), problems }
}

async function readListFile(file: string): Promise<Found> {
  try {
    return judge(file, await readFile(file, 'utf8'))
  } catch (error) {
    return { name: file, problem: `cannot be read (${codeOf(error)})` }
  }
}

async function getList({ name, url }: CloudList, options: CloudSources): Promise<Found> {
  const { timeoutMs = defaultTimeoutMs, maxBytes = defaultMaxBytes } = options
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
    if (!answer.ok) return { name, problem: `${url} answered ${answer.status}` }
    const parts: Uint8Array[] = []
    let size = 0
    for await (const part of answer.body ?? []) {
      size += part.length
      // Leaving the loop ends the transfer.
      if (size > maxBytes) return { name, problem: `${url} answered with more than ${maxBytes} bytes` }
      parts.push(part)
    }
    return judge(name, Buffer.concat(parts).toString('utf8'))
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') {
      return { name, problem: `${url} did not answer within ${timeoutMs / 1000} s` }
    }
    return { name, problem: `${url} could not be reached (${codeOf(error)})` }
  }
}

function judge(name: string, text: string): Found {
  const ranges = readCloudList(text)
  if (ranges !== null) return { name, ranges }
  const isPage = /^\s*<(?:!doctype|html|\?xml)/i.test(text)
  return { name, problem: isPage ? 'a web page, and no list of ranges' : 'no list of ranges that is known' }
}

function codeOf(error: unknown): string {
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  if (typeof code === 'string') return code
  return typeof cause === 'object' && cause !== null ? codeOf(cause) : 'broken off'
}

async function openPrevious(path: string): Promise<RangeTable | null> {
  const bytes = await readFile(path).catch(() => null)
  if (bytes === null) return null
  const table = openTable(shareBytes(bytes), true)
  return 'error' in table || table.meta.kind !== 'cloud' ? null : table
}

function rangesOf(table: RangeTable): CloudRange[] {
  const found: CloudRange[] = []
  const add = (family: 4 | 6, start: bigint, end: bigint, row: number): void => {
    if (row === 0) return
    const [provider = '', region = '', use = ''] = table.row(row)
    for (const cidr of cidrsOf(family, start, end)) {
      found.push({ cidr, provider, region, use: use as CloudRange['use'] })
    }
  }
  table.forEachIpv4((start, end, row) => add(4, BigInt(start), BigInt(end), row))
  table.forEachIpv6((start, end, row) => add(6, start, end, row))
  return found
}
