/** What is known beyond one session, in SQLite: tags, attempts and summaries of checks. */
import type { PackageEvent } from '../record/events.ts'
import {
  addToCheck,
  type ChecksMissed,
  closedDayMs,
  groupChecks,
  maxCheckRows,
  type StoredCheck,
  summariesOf,
} from './check-rows.ts'
import { type Attempt, maxAttempts } from './memory/attempt-history.ts'
import { createTagHistory, type TagSighting } from './memory/tag-history.ts'
import { attemptLifeMs, maxTagRows, secondOf, type TagNotes, tagLifeMs, thinnedTo } from './memory-notes.ts'
import { bytesOf, countOf, numberOf, type SessionSql, type SqlRow, textOf } from './sqlite-schema.ts'
import type { SessionMemory } from './store.ts'
import { createTurns } from './turns.ts'

export type SqliteMemory = {
  /** Within a transaction, as the next two. */
  noteAttempts(joinKey: string, attempts: readonly Attempt[], now: number): void
  noteTags(notes: readonly TagNotes[], now: number): void
  sweepExpired(now: number): void
  calls: SessionMemory
}

/** A life that is renewed no more often costs no write for each sighting. */
const renewMs = 86_400_000

function readSighting(row: SqlRow): TagSighting {
  return { tag: textOf(row, 'tag') ?? '', digest: textOf(row, 'digest') ?? '', timeMs: countOf(row, 'time') }
}

function readStored(row: SqlRow): StoredCheck {
  return { row: textOf(row, 'value') ?? '', ids: Buffer.from(bytesOf(row, 'ids')) }
}

export function createSqliteMemory({
  sql,
  nowMs,
  onTagsRefused,
}: {
  sql: SessionSql
  nowMs(): number
  onTagsRefused(count: number): void
}): SqliteMemory {
  const turns = createTurns()

  function noteTagsOf({ tagKey, sightings }: TagNotes, now: number): number {
    const known = sql.get('tagged', tagKey)
    const thinned = countOf(known, 'thinned')
    const before = { held: countOf(known, 'held'), due: numberOf(known, 'due') }
    let { held, due } = before
    let refused = 0
    for (const sighting of sightings) {
      const { tag, digest, timeMs } = sighting
      if (timeMs < thinned || held >= maxTagRows) refused++
      else if (sql.run('putTag', tagKey, tag, secondOf(sighting), digest, timeMs) > 0) {
        held++
        due = Math.min(due ?? timeMs, timeMs)
      }
    }
    const isOld = countOf(known, 'expires') < now + tagLifeMs - renewMs
    if (held !== before.held || due !== before.due || isOld)
      sql.run('putTagged', tagKey, thinned, held, due, now + tagLifeMs)
    return refused
  }

  function thinOne(horizonMs: number): boolean {
    const tagKey = textOf(sql.get('dueTagged', horizonMs), 'key')
    if (tagKey === null) return false
    const known = sql.get('tagged', tagKey)
    const all = sql.all('tags', tagKey).map(readSighting)
    const history = createTagHistory(all, countOf(known, 'thinned'))
    history.thin(horizonMs)
    const kept = history.rows()
    const stays = new Set(kept.map(nameOf))
    for (const sighting of all) {
      if (!stays.has(nameOf(sighting)))
        sql.run('deleteTag', tagKey, sighting.tag, secondOf(sighting), sighting.digest)
    }
    const times = kept.flatMap(({ timeMs }) => (timeMs >= horizonMs ? [timeMs] : []))
    const due = times.length === 0 ? null : times.reduce((a, b) => Math.min(a, b))
    sql.run('putTagged', tagKey, history.thinnedMs(), kept.length, due, countOf(known, 'expires'))
    return true
  }

  function addChecks(events: readonly PackageEvent[]): ChecksMissed {
    const missed = { late: 0, full: 0 }
    const through = countOf(sql.get('checked'), 'through')
    let rows: number | null = null
    for (const [id, checks] of groupChecks(events)) {
      const row = sql.get('check', id)
      const { after, full } = addToCheck(row === undefined ? null : readStored(row), checks)
      missed.full += full
      if (after === null) continue
      if (row === undefined) rows ??= countOf(sql.get('countChecks'), 'count')
      const added = after.added.length / 6
      if (after.dayMs < through) missed.late += added
      else if (row === undefined && (rows ?? 0) >= maxCheckRows) missed.full += added
      else {
        if (row === undefined && rows !== null) rows++
        sql.run('putCheck', id, after.dayMs, after.row, after.ids)
      }
    }
    return missed
  }

  return {
    noteAttempts(joinKey, attempts, now) {
      for (const { sessionId, tag, timeMs, answeredMs } of attempts)
        sql.run('putAttempt', joinKey, sessionId, tag, timeMs, answeredMs, now + attemptLifeMs)
    },

    noteTags(notes, now) {
      const refused = notes.reduce((sum, one) => sum + noteTagsOf(one, now), 0)
      if (refused > 0) onTagsRefused(refused)
    },

    sweepExpired(now) {
      sql.run('expireAttempts', now)
      for (const row of sql.all('expiredTagged', now)) {
        sql.run('deleteTags', textOf(row, 'key'))
        sql.run('deleteTagged', textOf(row, 'key'))
      }
    },

    calls: {
      loadTags: async (tagKey) => sql.all('tags', tagKey).map(readSighting),

      loadAttempts: async (joinKey) =>
        sql.all('attempts', joinKey, nowMs(), maxAttempts).map((row) => ({
          sessionId: textOf(row, 'session') ?? '',
          tag: textOf(row, 'tag') ?? '',
          timeMs: countOf(row, 'time'),
          answeredMs: numberOf(row, 'answered'),
        })),

      async thinTags(horizonMs) {
        // A repository at a time; what comes meanwhile lies after the horizon.
        const wholeMs = thinnedTo(horizonMs)
        while (sql.transaction(() => thinOne(wholeMs))) await turns.next()
      },

      addChecks: async (events) => sql.transaction(() => addChecks(events)),

      dueChecks: async (watermarkMs, max) => {
        const known = countOf(sql.get('checked'), 'through')
        const through = Math.max(known, closedDayMs(watermarkMs))
        if (through > known) sql.run('putChecked', through)
        return summariesOf(sql.all('checks', through, max).map(readStored))
      },

      forgetChecks: async (events) => {
        sql.transaction(() => {
          for (const { id } of events) sql.run('deleteCheck', id)
        })
      },
    },
  }
}

function nameOf({ tag, digest, timeMs }: TagSighting): string {
  return `${tag} ${timeMs} ${digest}`
}
