/**
 * Where the keys of the front's tokens come from, and how they change while it runs: from the operator's file, else
 * shared by all nodes through Redis, else kept in the data folder; in the last two they rotate by themselves.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  acceptedKeys,
  advanceRing,
  formatRing,
  type KeyRing,
  orderKeys,
  parseRing,
  type RotationTimes,
} from './key-ring.ts'
import { tokenLifetimeSeconds } from './tokens.ts'

/** What is needed of a Redis client; both reject when it cannot be asked. */
export type KeyStore = {
  read(): Promise<string | null>
  /** Sets `value` if `expected` is still there; returns what is there then. */
  replace(expected: string | null, value: string): Promise<string>
}

export type TokenKeys = {
  /** 32 bytes in hex each, the first signs. */
  keys(): readonly string[]
  /** Looks after them at once; the timer calls it. */
  refresh(): Promise<void>
  close(): void
}

export type TokenKeyOptions = {
  /** Reads the operator's keys again, null while they cannot be; null: there are none. */
  readConfigured: (() => string[] | null) | null
  dataFolder: string
  store: KeyStore | null
  /** They are others now, or in another order. */
  onKeys(keys: readonly string[]): void
  /** Told once until it is over: the keys could not be read, and those that are known are used on. */
  warn(error: unknown): void
  times?: RotationTimes & { refreshMs: number }
  now?(): number
}

export const tokenKeyName = 'waybill:token-key'

const hourMs = 3_600_000
export const rotationTimes = {
  rotateMs: 24 * hourMs,
  // A node that cannot reach Redis for an hour signs on with the key before, which is accepted as long.
  leadMs: hourMs,
  // The ten minutes are for clocks that differ.
  acceptMs: tokenLifetimeSeconds * 1000 + 10 * 60_000,
  refreshMs: 10_000,
}

/** Rejects when the data folder holds no keys that can be used. */
export async function createTokenKeys(options: TokenKeyOptions): Promise<TokenKeys> {
  const { readConfigured, store, now = Date.now, times = rotationTimes } = options
  const file = join(options.dataFolder, 'token-key')
  let current: readonly string[] = []
  let isFailing = false
  let written = ''
  let ring: KeyRing = []
  /** Keys of this node's own that others do not share, from a time without Redis. */
  let extras: { hex: string; untilMs: number }[] = []

  const makeKey = (): string => randomBytes(32).toString('hex')

  const report = (error: unknown): void => {
    if (!isFailing) options.warn(error)
    isFailing = true
  }

  const readShared = async (from: KeyStore): Promise<KeyRing> => {
    const text = await from.read()
    const next = advanceRing(text === null ? ring : parseShared(text), now(), times, makeKey)
    const wanted = formatRing(next)
    return text === wanted ? next : parseShared(await from.replace(text, wanted))
  }

  const adopt = (next: KeyRing): void => {
    const nowMs = now()
    const shared = new Set(next.map(({ hex }) => hex))
    const known = new Set(extras.map(({ hex }) => hex))
    for (const { hex } of acceptedKeys(ring, nowMs, times)) {
      if (!shared.has(hex) && !known.has(hex)) extras.push({ hex, untilMs: nowMs + times.acceptMs })
    }
    extras = extras.filter(({ hex, untilMs }) => !shared.has(hex) && untilMs > nowMs)
    ring = next
    const text = formatRing(ring)
    if (text !== written) writeAside(file, text)
    written = text
  }

  const readRotating = async (): Promise<string[]> => {
    try {
      adopt(store ? await readShared(store) : advanceRing(ring, now(), times, makeKey))
      isFailing = false
    } catch (error) {
      report(error)
      // Not rotated alone: the fewer keys of its own a node has, the more pulls are known by their tokens.
      if (ring.length === 0) adopt(advanceRing(ring, now(), times, makeKey))
    }
    return [...orderKeys(ring, now()), ...extras.map(({ hex }) => hex)]
  }

  const readOperators = (read: () => string[] | null): readonly string[] => {
    const found = read()
    if (found) isFailing = false
    else report(new Error('the file of token keys cannot be read'))
    return found ?? current
  }

  const refresh = async (): Promise<void> => {
    const found = readConfigured ? readOperators(readConfigured) : await readRotating()
    if (found.join() === current.join()) return
    current = found
    options.onKeys(current)
  }

  if (!readConfigured) {
    written = readIfThere(file)
    ring = written === '' ? [] : parseOwn(file, written)
  }
  await refresh()
  let refreshing = false
  const timer = setInterval(() => {
    if (refreshing) return
    refreshing = true
    refresh()
      .catch(report)
      .finally(() => {
        refreshing = false
      })
  }, times.refreshMs)
  timer.unref()
  return { keys: () => current, refresh, close: () => clearInterval(timer) }
}

function parseShared(text: string): KeyRing {
  const ring = parseRing(text)
  if (!ring) throw new Error(`${tokenKeyName} in Redis holds something else than keys`)
  return ring
}

function parseOwn(file: string, text: string): KeyRing {
  const ring = parseRing(text)
  if (ring) return ring
  throw Object.assign(new Error(`${file} does not hold keys of 64 hex digits`), { code: 'BAD_TOKEN_KEY' })
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

/** In one step, and for its owner alone from the first byte on. */
function writeAside(file: string, text: string): void {
  const aside = `${file}.new`
  writeFileSync(aside, text, { mode: 0o600 })
  renameSync(aside, file)
}
