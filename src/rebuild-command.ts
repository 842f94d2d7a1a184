/**
 * `waybill events rebuild`: from exports of requests and manifests to the package events that they gave.
 */
import type { Config } from './config/types.ts'
import { csvHeader, toCsvLine } from './publisher/csv.ts'
import { readExport } from './publisher/export-file.ts'
import { createRebuild } from './sessionizer/rebuild.ts'

export type RebuildOptions = {
  /** Files with one JSON value a line. */
  requests: string
  manifests: string
  format: 'ndjson' | 'csv'
  /** As when the events were made: they decide what belongs together. */
  sessions: Config['sessions']
}

export type RebuildResult = { ok: true; count: number } | { ok: false; problems: string[] }

/** Writes nothing unless both files are right as a whole. Waits for a promise that `write` returns. */
export async function rebuildEvents(
  options: RebuildOptions,
  write: (line: string) => void | Promise<void>,
  signal: AbortSignal,
): Promise<RebuildResult> {
  const rebuild = createRebuild(options.sessions)
  const problems = [
    ...(await readExport(options.requests, 'requests', rebuild.addRequest)),
    ...(await readExport(options.manifests, 'manifests', rebuild.addManifest)),
  ]
  if (problems.length > 0) return { ok: false, problems }
  if (options.format === 'csv') await write(`${csvHeader}\r\n`)
  let count = 0
  for (const event of rebuild.events()) {
    if (signal.aborted) break
    await write(options.format === 'csv' ? `${toCsvLine(event)}\r\n` : `${JSON.stringify(event)}\n`)
    count += 1
  }
  return { ok: true, count }
}
