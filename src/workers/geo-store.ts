/**
 * Keeps the geo databases up to date while the process runs, on the main thread: a file that changed or came is
 * opened and probed beside the one in use, and takes its place only when it is sound.
 */
import { stat } from 'node:fs/promises'
import {
  type GeoDatabase,
  type GeoDatabases,
  type GeoRole,
  loadDatabase,
  noGeoDatabases,
} from './geo-database.ts'

export type GeoSource = {
  role: GeoRole
  path: string
  /** The operator named it: that it is missing is a failure. Else it is where `geo install` leaves its tables. */
  isConfigured: boolean
}

export type GeoState = {
  file: string
  /** `kept`: a newer file was refused, and the one before is in use. */
  state: 'ok' | 'kept' | 'failed' | 'missing'
  why: string | null
  type: string | null
  built_at: string | null
  /** Older than 45 days: addresses change hands. */
  stale: boolean
}

export type GeoStore = {
  current(): GeoDatabases
  report(): Partial<Record<GeoRole, GeoState>>
  /** Build times of those in use, Unix ms. */
  ages(): { database: string; builtAtMs: number }[]
  close(): void
}

type Log = Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>

type Watched = GeoSource & {
  /** Of the file that was last looked at: time, size and number. */
  signature: string
  tried: string
  why: string | null
  warnedMs: number
}

/** A database is replaced once a week or a month: that it is in use some seconds later does no harm. */
const defaultIntervalMs = 2000
const dayMs = 86_400_000
const staleMs = 45 * dayMs

async function signatureOf(path: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(path)
    return `${mtimeMs} ${size} ${ino}`
  } catch {
    return ''
  }
}

/** Resolves when what is there has been loaded. */
export async function createGeoStore(options: {
  sources: readonly GeoSource[]
  /** Called with all of them whenever one has changed. */
  onChange(databases: GeoDatabases): void
  /** After each try: whether the database that the file holds is in use. */
  onResult?(role: GeoRole, isSound: boolean): void
  log: Log
  now?: () => number
  intervalMs?: number
}): Promise<GeoStore> {
  const { log, now = Date.now, onResult = () => undefined } = options
  let databases = noGeoDatabases
  const watched: Watched[] = options.sources.map((source) => ({
    ...{ ...source, signature: '', tried: '', why: null, warnedMs: Number.NEGATIVE_INFINITY },
  }))

  const isStale = (database: GeoDatabase | null): boolean =>
    database !== null && database.buildEpoch !== null && now() - database.buildEpoch > staleMs

  function warnOfAge(source: Watched): void {
    const database = databases[source.role]
    // Overrides are as old as they are: who keeps them knows.
    if (!isStale(database) || source.role === 'overrides' || now() - source.warnedMs < dayMs) return
    source.warnedMs = now()
    const days = Math.floor((now() - database!.buildEpoch!) / dayMs)
    log.warn(
      { database: source.role, days },
      'a geo database is older than 45 days: addresses have moved since',
    )
  }

  async function load(source: Watched): Promise<boolean> {
    const { role, path } = source
    source.tried = source.signature
    const loaded = await loadDatabase(path, role)
    if ('error' in loaded) {
      source.why = loaded.error
      const outcome = databases[role] === null ? 'served without it' : 'the one before stays in use'
      log.error({ database: role }, `${path} ${loaded.error}: ${outcome}`)
      onResult(role, false)
      return false
    }
    source.why = null
    databases = { ...databases, [role]: loaded }
    const built = loaded.buildEpoch === null ? null : new Date(loaded.buildEpoch).toISOString()
    log.info({ database: role, type: loaded.type, built }, 'a geo database is in use')
    onResult(role, true)
    source.warnedMs = Number.NEGATIVE_INFINITY
    warnOfAge(source)
    return true
  }

  async function look(isStart: boolean): Promise<void> {
    let changed = false
    for (const source of watched) {
      const signature = await signatureOf(source.path)
      // Seen twice alike, a file is no longer being written.
      const isSteady = isStart || signature === source.signature
      source.signature = signature
      if (signature === '') {
        if (isStart && source.isConfigured) await load(source)
        continue
      }
      if (isSteady && signature !== source.tried) changed = (await load(source)) || changed
      else warnOfAge(source)
    }
    if (changed && !isStart && !closed) options.onChange(databases)
  }

  let closed = false
  let looking = false
  await look(true)
  const timer = setInterval(() => {
    if (looking) return
    looking = true
    look(false)
      .catch((error: unknown) => log.warn({ err: error }, 'geo databases could not be looked after'))
      .finally(() => {
        looking = false
      })
  }, options.intervalMs ?? defaultIntervalMs)
  timer.unref()

  return {
    current: () => databases,
    report() {
      const states: Partial<Record<GeoRole, GeoState>> = {}
      for (const { role, path, why, isConfigured } of watched) {
        const database = databases[role]
        if (database === null && !isConfigured && why === null) continue
        states[role] = {
          file: path,
          state: database === null ? (why === null ? 'missing' : 'failed') : why === null ? 'ok' : 'kept',
          why,
          type: database?.type ?? null,
          built_at: database?.buildEpoch ? new Date(database.buildEpoch).toISOString() : null,
          stale: isStale(database),
        }
      }
      return states
    },
    ages: () =>
      watched.flatMap(({ role }) => {
        const builtAtMs = databases[role]?.buildEpoch ?? null
        return builtAtMs === null || role === 'overrides' ? [] : [{ database: role, builtAtMs }]
      }),
    close() {
      closed = true
      clearInterval(timer)
    },
  }
}
