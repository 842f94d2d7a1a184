import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadTokenKeys } from './token-keys.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-keys-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const warnings: unknown[] = []
const load = (given: Partial<Parameters<typeof loadTokenKeys>[0]> = {}) =>
  loadTokenKeys({
    configured: null,
    dataFolder: folder,
    store: null,
    warn: (error) => warnings.push(error),
    ...given,
  })

test('a key is made once, for its owner alone', async () => {
  const first = await load()
  expect(first).toHaveLength(1)
  expect(await load()).toEqual(first)
  expect(statSync(join(folder, 'token-key')).mode & 0o777).toBe(0o600)
})

test('configured keys win', async () => {
  expect(await load({ configured: ['ab'.repeat(32)] })).toEqual(['ab'.repeat(32)])
})

test('nodes that share a store sign with one key, and still verify their own', async () => {
  const kept = new Map<string, string>()
  const store = {
    setIfAbsent: async (key: string, value: string) => {
      if (!kept.has(key)) kept.set(key, value)
      return kept.get(key) as string
    },
  }
  const [first] = await load({ store })
  const other = mkdtempSync(join(tmpdir(), 'waybill-keys-'))
  const keys = await load({ store, dataFolder: other })
  expect(keys[0]).toBe(first)
  expect(keys).toHaveLength(2)
  rmSync(other, { recursive: true })
})

test('a store that is down costs a warning', async () => {
  const store = { setIfAbsent: () => Promise.reject(new Error('down')) }
  warnings.length = 0
  expect(await load({ store })).toEqual(await load())
  expect(warnings).toHaveLength(1)
})

test('a damaged key file is said, not replaced', async () => {
  writeFileSync(join(folder, 'token-key'), 'xyz')
  await expect(load()).rejects.toThrow(/token-key does not hold a key/)
})
