/** Opening the node's SQLite file: its settings, and files that are not whole. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDatabase } from './database.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-database-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function fill(path: string): void {
  const opened = openDatabase(path)
  if (!opened.ok) throw new Error(opened.error)
  const { database } = opened
  database.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT); CREATE INDEX t_by_text ON t (text)')
  const insert = database.prepare('INSERT INTO t (text) VALUES (?)')
  for (let n = 0; n < 2_000; n++) insert.run(`text ${n} ${'x'.repeat(50)}`)
  database.close()
}

test('makes folder and file with the settings that both features need', () => {
  const path = join(folder, 'deep', 'waybill.db')
  const opened = openDatabase(path)
  if (!opened.ok) throw new Error(opened.error)
  const pragma = (name: string) => Object.values(opened.database.prepare(`PRAGMA ${name}`).get()!)[0]
  expect(pragma('journal_mode')).toBe('wal')
  expect(pragma('synchronous')).toBe(1)
  expect(pragma('busy_timeout')).toBe(5_000)
  expect(pragma('auto_vacuum')).toBe(2)
  opened.database.close()
})

test('a whole file opens again', () => {
  const path = join(folder, 'waybill.db')
  fill(path)
  const opened = openDatabase(path)
  expect(opened.ok && opened.database.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: 2_000 })
  if (opened.ok) opened.database.close()
})

const damages: [string, (bytes: Buffer) => Buffer][] = [
  ['no database at all', () => Buffer.from('this is not a database, but a text of some length\n'.repeat(50))],
  ['the header overwritten', (bytes) => Buffer.concat([Buffer.alloc(64, 0xff), bytes.subarray(64)])],
  ['a page of a table overwritten', (bytes) => Buffer.from(bytes).fill(0xaa, 8192 * 5, 8192 * 6)],
  ['the second half cut off', (bytes) => bytes.subarray(0, 8192 * Math.floor(bytes.length / 16384))],
]

test.each(damages)('%s: an error that names the file, which stays as it is', (_, damage) => {
  const path = join(folder, 'waybill.db')
  fill(path)
  const damaged = damage(readFileSync(path))
  writeFileSync(path, damaged)
  const opened = openDatabase(path)
  expect(opened.ok).toBe(false)
  expect(!opened.ok && opened.error).toContain(path)
  expect(statSync(path).size).toBe(damaged.length)
  expect(readFileSync(path).equals(damaged)).toBe(true)
})

test('a folder in its place is an error too', () => {
  const opened = openDatabase(folder)
  expect(opened).toMatchObject({ ok: false, error: expect.stringContaining(folder) })
})
