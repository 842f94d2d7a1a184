/** What the embedded store of a data folder holds, read beside the process that writes it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { PackageEvent, RequestEvent } from '../../src/record/events.ts'

function readRows<Row>(data: string, table: string): Row[] {
  const path = join(data, 'waybill.db')
  if (!existsSync(path)) return []
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    database.exec('PRAGMA busy_timeout = 5000')
    const rows = database.prepare(`SELECT json FROM ${table} ORDER BY seq`).all() as { json: string }[]
    return rows.map(({ json }) => JSON.parse(json) as Row)
  } finally {
    database.close()
  }
}

export function readPackageEvents(data: string): PackageEvent[] {
  return readRows(data, 'package_events')
}

/** Kept only with `retention.requests`. */
export function readRequestEvents(data: string): RequestEvent[] {
  return readRows(data, 'request_events')
}
