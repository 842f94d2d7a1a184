import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTokenKeys, type KeyStore, type TokenKeyOptions, type TokenKeys } from './token-keys.ts'
import { createTokens, tokenLifetimeSeconds } from './tokens.ts'

const hourMs = 3_600_000
let folders: string[] = []
let started: TokenKeys[] = []
let warnings: unknown[] = []
let nowMs = 0

const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-keys-'))
  folders.push(folder)
  return folder
}
let folder: string
beforeEach(() => {
  folders = []
  started = []
  warnings = []
  nowMs = Date.UTC(2026, 0, 1)
  folder = newFolder()
})
afterEach(() => {
  for (const keys of started) keys.close()
  for (const each of folders) rmSync(each, { recursive: true })
})

const start = async (given: Partial<TokenKeyOptions> = {}): Promise<TokenKeys> => {
  const keys = await createTokenKeys({
    readConfigured: null,
    dataFolder: folder,
    store: null,
    onKeys: () => undefined,
    warn: (error) => warnings.push(error),
    now: () => nowMs,
    ...given,
  })
  started.push(keys)
  return keys
}

/** As Redis: one value, set only where what was read is still there. */
function createStore(): KeyStore & { value: string | null; isDown: boolean } {
  const store = {
    value: null as string | null,
    isDown: false,
    async read() {
      if (store.isDown) throw new Error('down')
      return store.value
    },
    async replace(expected: string | null, value: string) {
      if (store.isDown) throw new Error('down')
      if (store.value === expected) store.value = value
      return store.value as string
    },
  }
  return store
}

test('a key is made once, for its owner alone', async () => {
  const first = (await start()).keys()
  expect(first).toHaveLength(1)
  expect((await start()).keys()).toEqual(first)
  expect(statSync(join(folder, 'token-key')).mode & 0o777).toBe(0o600)
})

test('a key of a version that did not rotate signs on', async () => {
  const hex = 'ab'.repeat(32)
  writeFileSync(join(folder, 'token-key'), `${hex}\n`)
  const keys = await start()
  expect(keys.keys()[0]).toBe(hex)
  nowMs += 2 * hourMs
  await keys.refresh()
  expect(keys.keys()[0]).not.toBe(hex)
  expect(keys.keys()).toContain(hex)
})

test('a damaged key file is said, not replaced', async () => {
  writeFileSync(join(folder, 'token-key'), 'xyz')
  await expect(start()).rejects.toThrow(/token-key does not hold keys/)
  expect(readFileSync(join(folder, 'token-key'), 'utf8')).toBe('xyz')
})

test('over a week, with tokens at any time: each holds for its lifetime at every node, and keys go', async () => {
  const store = createStore()
  const nodes = [await start({ store }), await start({ store, dataFolder: newFolder() })]
  const tokens = nodes.map((node) => createTokens(node.keys()))
  const issued: { header: string; atMs: number }[] = []
  const everSigned = new Set<string>()
  const stepMs = 10 * 60_000
  for (let step = 0; step < 7 * 24 * 6; step++) {
    nowMs += stepMs
    // Each node looks when it comes to it: here every second time, in turns.
    const turn = step % 2
    await nodes[turn]?.refresh()
    tokens[turn]?.setKeys(nodes[turn]?.keys() as string[])
    for (const [index, node] of tokens.entries()) {
      const header = `Bearer ${node.sign('h', nowMs)}`
      issued.push({ header, atMs: nowMs })
      everSigned.add(header.split('.')[1] as string)
      expect(nodes[index]?.keys().length).toBeLessThanOrEqual(3)
    }
    while ((issued[0]?.atMs ?? nowMs) + tokenLifetimeSeconds * 1000 <= nowMs) issued.shift()
    for (const { header } of issued) {
      for (const node of tokens) {
        const verdict = node.verify(header, 'h', nowMs)
        // Known at both: served, and with its nonce.
        expect(verdict.valid && verdict.nonce).toHaveLength(16)
      }
    }
  }
  expect(everSigned.size).toBeGreaterThanOrEqual(7)
  expect(store.value?.trim().split('\n').length).toBeLessThanOrEqual(2)
})

test('nodes that start at once agree on one key', async () => {
  const store = createStore()
  const nodes = await Promise.all(Array.from({ length: 5 }, () => start({ store, dataFolder: newFolder() })))
  expect(new Set(nodes.map((node) => node.keys()[0])).size).toBe(1)
})

test('without Redis: own keys, one warning, no rotation alone; with it again: those of all', async () => {
  const store = createStore()
  const shared = (await start({ store, dataFolder: newFolder() })).keys()[0]
  store.isDown = true
  const alone = await start({ store })
  const own = alone.keys()[0] as string
  expect(alone.keys()).toHaveLength(1)
  nowMs += 30 * hourMs
  await alone.refresh()
  expect(alone.keys()).toEqual([own])
  expect(warnings).toHaveLength(1)
  store.isDown = false
  await alone.refresh()
  expect(alone.keys()[0]).toBe(shared)
  // What it signed meanwhile is accepted until the last of it has ended.
  expect(alone.keys()).toContain(own)
  nowMs += 2 * hourMs
  await alone.refresh()
  expect(alone.keys()).not.toContain(own)
  // After a restart without Redis it knows those of all.
  store.isDown = true
  expect((await start({ store })).keys()).toContain(alone.keys()[0])
})

test('Redis that lost everything gets the keys back', async () => {
  const store = createStore()
  const node = await start({ store })
  const before = [...node.keys()]
  store.value = null
  await node.refresh()
  expect(node.keys()).toEqual(before)
  expect((await start({ store, dataFolder: newFolder() })).keys()).toEqual(before)
})

test('something else under the name in Redis is said, and not overwritten', async () => {
  const store = createStore()
  store.value = 'hello'
  const node = await start({ store })
  expect(node.keys()).toHaveLength(1)
  expect(String(warnings[0])).toMatch(/waybill:token-key in Redis holds something else/)
  expect(store.value).toBe('hello')
})

test("the operator's keys are read again; a file that cannot be read changes nothing", async () => {
  const [a, b] = ['ab'.repeat(32), 'cd'.repeat(32)]
  let file: string[] | null = [a]
  const told: (readonly string[])[] = []
  const node = await start({ readConfigured: () => file, onKeys: (keys) => told.push(keys) })
  file = [b, a]
  await node.refresh()
  file = null
  await node.refresh()
  await node.refresh()
  expect(told).toEqual([[a], [b, a]])
  expect(node.keys()).toEqual([b, a])
  expect(warnings).toHaveLength(1)
})
