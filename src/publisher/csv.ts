/**
 * Package events as CSV (RFC 4180): the fields in order, nested names joined by `_`.
 *
 * Lists are joined by a space (ids and digests hold none); null is an empty cell. A text that a spreadsheet
 * would take for a formula (it begins with = + - @, tab or carriage return) gets an apostrophe before it.
 */
import type { PackageEvent } from '../record/events.ts'
import { type FieldTree, packageEventFields } from './fields.ts'

type Column = { name: string; path: readonly string[] }

function toColumns(tree: FieldTree, parents: readonly string[]): Column[] {
  return Object.entries(tree).flatMap(([name, node]) => {
    const path = [...parents, name]
    return typeof node === 'string' || Array.isArray(node)
      ? [{ name: path.join('_'), path }]
      : toColumns(node as FieldTree, path)
  })
}

const columns = toColumns(packageEventFields, [])

/** Without the line's end, which is CR LF. */
export const csvHeader = columns.map(({ name }) => name).join(',')

function valueAt(event: PackageEvent, path: readonly string[]): unknown {
  let value: unknown = event
  for (const name of path) {
    if (value === null || value === undefined) return null
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

export function toCell(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value !== 'string' && !Array.isArray(value)) return String(value)
  const text = Array.isArray(value) ? value.join(' ') : value
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** Without the line's end. */
export function toCsvLine(event: PackageEvent): string {
  return columns.map(({ path }) => toCell(valueAt(event, path))).join(',')
}
