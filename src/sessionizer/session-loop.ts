/**
 * The session thread's loop: claims due sessions, joins, summarises, publishes, and only then closes them; so an
 * event is published at least once, always under the same id.
 */
import { performance } from 'node:perf_hooks'
import type { PackageEvent } from '../record/events.ts'
import type { ChecksMissed } from './check-rows.ts'
import { isSummarised } from './memory/check-summary.ts'
import type { SessionRules } from './schedule.ts'
import { createSessionWork, type Gathered, type Prepared, type SummaryTools } from './session-work.ts'
import { createSteadyClock } from './steady-clock.ts'
import type { ClaimedSession, SessionClosing } from './store.ts'
import { createTurns } from './turns.ts'

export type SessionLoopLog = {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export type SessionLoopMetrics = {
  /** Sessions open in the store, every few seconds. */
  open?(count: number): void
  /** Sessions closed as a whole. */
  closed?(count: number): void
  /** Facts that came after their pull was published and were dropped. */
  late?(facts: number): void
  /** Checks that no summary counts: their day was over, or there was no room. */
  checksMissed?(missed: ChecksMissed): void
  /** From the end of a pull to its publication; one call for each event. */
  eventDelayMs?(ms: number): void
}

export type SessionLoopOptions = SummaryTools & {
  store: SessionClosing
  /** Resolves when the events are safe; rejects to have them again later. */
  publish(events: PackageEvent[]): Promise<void>
  /** Unix ms of this node's oldest record that no store has yet; now when there is none. */
  watermark(): number
  node: string
  sessions: SessionRules
  log: SessionLoopLog
  metrics?: SessionLoopMetrics
  /** Between sweeps. Default 250; 0: only `sweep()` runs them. */
  intervalMs?: number
  /** Sessions claimed at a time. Default 64. */
  batch?: number
  /** Wait after a failure, doubled for each in a row. Default 500 ms to 30 s. */
  backoffMs?: { first: number; longest: number }
}

export type SessionLoop = {
  /** Handles all that is due now; never rejects. Returns the number of events published. */
  sweep(): Promise<number>
  /** Finishes the session that is worked on, gives other claims back; open sessions stay in the store. */
  drain(): Promise<void>
  close(): Promise<void>
}

/** A sweep ends after so many rounds, so that the watermark is published in time. */
const maxRounds = 20
const countEveryMs = 5000
const warnEveryMs = 60_000
/** Events published at a time; the store in the file writes so many in a few ms. */
const publishBatch = 512
/** Between two thinnings of tags, and looks for days that are over; by the watermark. */
const upkeepEveryMs = 60_000

export function createSessionLoop(options: SessionLoopOptions): SessionLoop {
  const { store, log, node, sessions: rules, metrics = {}, intervalMs = 250, batch = 256 } = options
  const backoff = options.backoffMs ?? { first: 500, longest: 30_000 }
  const steady = createSteadyClock(() => performance.now())
  const turns = createTurns()
  const work = createSessionWork({
    ...options,
    onLate: (facts) => metrics.late?.(facts),
    onOverfull: warnOverfull,
    onUnreadable: (facts) => log.error({ facts }, 'Stored facts could not be read and were dropped.'),
  })
  let timer: NodeJS.Timeout | null = null
  let running: Promise<number> | null = null
  let stopped = false
  let failures = 0
  let pausedUntilMs = 0
  let countedMs = Number.NEGATIVE_INFINITY
  let warnedMs = Number.NEGATIVE_INFINITY
  let upkeptMs = Number.NEGATIVE_INFINITY
  /** The last sweep did not do all that was due. */
  let isBehind = false

  function warnOverfull(facts: number): void {
    if (performance.now() - warnedMs < warnEveryMs) return
    warnedMs = performance.now()
    log.warn({ facts }, 'A session has more requests than can be held; its pulls are ended sooner.')
  }

  function succeed(): void {
    if (failures > 0) log.info({ failures }, 'Sessions are closed again.')
    failures = 0
  }

  function fail(error: unknown, what: string): void {
    if (failures === 0) log.warn({ err: error }, what)
    const waitMs = Math.min(backoff.first * 2 ** Math.min(failures, 20), backoff.longest)
    failures++
    pausedUntilMs = performance.now() + waitMs
  }

  /** `settledMs`: as far as nodes that lag more than they may have come. */
  async function effectiveWatermark(): Promise<{ nowMs: number; watermarkMs: number; settledMs: number }> {
    await store.publishWatermark(node, options.watermark())
    const [lowest, storeMs] = await Promise.all([store.lowestWatermark(), store.storeTimeMs()])
    const nowMs = steady(storeMs)
    // A node that lags holds the others no longer than the capped lateness.
    const heldMs = Math.max(lowest ?? nowMs, nowMs - rules.latenessMs)
    const watermarkMs = Math.floor(Math.min(nowMs, heldMs))
    return { nowMs, watermarkMs, settledMs: Math.min(watermarkMs, Math.floor(lowest ?? watermarkMs)) }
  }

  /** A session that cannot be summarised must not stop the others; it is tried again with them. */
  async function postpone(error: unknown, claimed: ClaimedSession, watermarkMs: number): Promise<null> {
    log.error({ err: error, session: claimed.sessionId }, 'A session could not be summarised.')
    const { sessionId, lease } = claimed
    await store.release({ sessionId, lease, nextCheckMs: watermarkMs + backoff.longest })
    return null
  }

  async function gather(
    claimed: ClaimedSession,
    watermarkMs: number,
    settledMs: number,
  ): Promise<Gathered | null> {
    try {
      return await work.gather(claimed, watermarkMs, settledMs)
    } catch (error) {
      return postpone(error, claimed, watermarkMs)
    }
  }

  async function decide(
    gathered: Gathered,
    watermarkMs: number,
    settledMs: number,
  ): Promise<Prepared | null> {
    try {
      return await work.decide(gathered, watermarkMs, settledMs)
    } catch (error) {
      return postpone(error, gathered.session, watermarkMs)
    }
  }

  /** One after the other, with room for other work between them; once stopped, what is not begun is given back. */
  async function decideAll(
    claimed: readonly ClaimedSession[],
    watermarkMs: number,
    settledMs: number,
  ): Promise<Prepared[]> {
    const gathered = await Promise.all(claimed.map((session) => gather(session, watermarkMs, settledMs)))
    const left = gathered.filter((one) => one !== null)
    const prepared: Prepared[] = []
    for (let one = left.shift(); one !== undefined; one = stopped ? undefined : left.shift()) {
      const decided = await decide(one, watermarkMs, settledMs)
      if (decided !== null) prepared.push(decided)
      await turns.next()
    }
    await Promise.all(
      left.map(({ session: { sessionId, lease } }) =>
        store.release({ sessionId, lease, nextCheckMs: watermarkMs }),
      ),
    )
    return prepared
  }

  async function publishEvents(events: PackageEvent[]): Promise<boolean> {
    try {
      for (let at = 0; at < events.length; at += publishBatch) {
        await turns.next()
        await options.publish(events.slice(at, at + publishBatch))
      }
      return true
    } catch (error) {
      fail(error, 'Package events could not be published; they are kept and tried again.')
      return false
    }
  }

  async function publishAll(prepared: readonly Prepared[], nowMs: number): Promise<boolean> {
    const events = prepared.flatMap((one) => one.events)
    if (!(await publishEvents(events))) return false
    for (const event of events) metrics.eventDelayMs?.(Math.max(0, nowMs - Date.parse(event.ended_at)))
    // Before their sessions are closed: what was counted twice is counted once, what was not would be lost.
    const checks = events.filter(isSummarised)
    if (checks.length === 0) return true
    const missed = await store.addChecks(checks)
    if (missed.late + missed.full > 0) metrics.checksMissed?.(missed)
    return true
  }

  /**
   * When all that was due is closed: no check of a day that is over is still on its way. Returns the number of
   * summaries published; null: they could not be.
   */
  async function upkeep(settledMs: number): Promise<number | null> {
    if (settledMs < upkeptMs + upkeepEveryMs) return 0
    await store.thinTags(settledMs)
    let published = 0
    while (!stopped) {
      const summaries = await store.dueChecks(settledMs, publishBatch)
      if (summaries.length === 0) break
      if (!(await publishEvents(summaries))) return null
      await store.forgetChecks(summaries)
      published += summaries.length
    }
    upkeptMs = settledMs
    return published
  }

  async function finish(prepared: readonly Prepared[], isPublished: boolean, watermarkMs: number) {
    await turns.next()
    await Promise.all(
      prepared.map(async ({ events, request }) => {
        const { sessionId, lease } = request
        if (!isPublished && events.length > 0) {
          await store.release({ sessionId, lease, nextCheckMs: watermarkMs })
        } else if ((await store.closeSession(request)) && request.remaining === null && !request.more) {
          metrics.closed?.(1)
        }
      }),
    )
  }

  async function countOpen(): Promise<void> {
    if (metrics.open === undefined || performance.now() - countedMs < countEveryMs) return
    countedMs = performance.now()
    metrics.open(await store.openSessions())
  }

  async function handleDue(): Promise<number> {
    let published = 0
    isBehind = true
    for (let round = 0; round < maxRounds && !stopped; round++) {
      await turns.next()
      const { nowMs, watermarkMs, settledMs } = await effectiveWatermark()
      // While there is much to do as well, or the count would be that of before.
      await countOpen()
      const claimed = await store.claimDue({ watermarkMs, max: batch })
      if (claimed.length === 0) {
        isBehind = false
        const summaries = await upkeep(settledMs)
        if (summaries === null) return published
        published += summaries
        break
      }
      const prepared = await decideAll(claimed, watermarkMs, settledMs)
      const isPublished = await publishAll(prepared, nowMs)
      await finish(prepared, isPublished, watermarkMs)
      if (!isPublished) return published
      published += prepared.reduce((sum, one) => sum + one.events.length, 0)
    }
    succeed()
    return published
  }

  async function sweepOnce(): Promise<number> {
    isBehind = false
    if (performance.now() < pausedUntilMs) return 0
    try {
      return await handleDue()
    } catch (error) {
      fail(error, 'the session store does not answer; sessions stay open until it does')
      return 0
    }
  }

  function sweep(): Promise<number> {
    if (running !== null) return running
    const sweeping = sweepOnce().finally(() => {
      running = null
    })
    running = sweeping
    return sweeping
  }

  function schedule(): void {
    if (stopped || intervalMs === 0) return
    timer = setTimeout(() => void sweep().then(schedule), isBehind ? 0 : intervalMs)
  }

  async function drain(): Promise<void> {
    stopped = true
    if (timer !== null) clearTimeout(timer)
    await running
  }

  schedule()
  return { sweep, drain, close: drain }
}
