/** Brings one stream of the log to one target: in order of the cursor, several sends at once, at least once. */
import { comparePositions, type LogPosition } from '../log/segments.ts'
import type { LogEntry } from '../record/events.ts'
import { createDeliveryBacklog } from './delivery-backlog.ts'
import { type EntryFilter, entriesOf, type SendFailure, sendWithin } from './delivery-send.ts'
import { createDeliverySource, type DeliveryFrame, type FrameReader } from './delivery-source.ts'

export type DelivererOptions = {
  target: string
  /** The target's cursor as it was found: the position after what it has got. */
  from: LogPosition
  /** `createLogReader` of the stream. */
  openReader(from: LogPosition): FrameReader
  /** Called in order, once everything before `position` has arrived. */
  cursor: { advance(target: string, position: LogPosition): unknown }
  /**
   * Resolves once the entries are safe with the target; `signal` ends with the timeout. It deals itself with
   * entries that can never arrive: to reject for them would hold up all others for ever.
   */
  send(entries: LogEntry[], signal: AbortSignal): Promise<unknown>
  /** Of the target, shared by all workers. */
  circuit: { tryPass(): boolean; succeeded(): void; failed(reason: SendFailure): void }
  /** Which entries the target wants, null: none; the others count as arrived. */
  filter: EntryFilter
  log: { warn(fields: object, message: string): void; info(fields: object, message: string): void }
  /** Sends under way at once. */
  windowBatches?: number
  /** Small frames are joined into one send up to so many entries. */
  maxSendEntries?: number
  timeoutMs: number
  maxTailBytes?: number
  random?: () => number
}

export type Deliverer = {
  /** The frame that was just appended to the stream, in order: it need not be read from disk again. */
  offer(frame: DeliveryFrame): void
  /** Something was appended to the stream that was not offered; it is counted once it was read. */
  wake(): void
  /** Unix ms of the oldest entry not delivered; 0: not known yet; null: there is none. */
  oldestMs(): number | null
  /** Entries appended or read and not delivered. */
  undelivered(): number
  /** Waits up to `deadlineMs`; true: the target has everything. */
  drain(deadlineMs: number): Promise<boolean>
  /** Stops; what is under way may still arrive, and comes again after the next start. */
  close(): Promise<void>
}

type Batch = { end: LogPosition; entries: LogEntry[]; state: 'held' | 'sent' | 'arrived' | 'failed' }

const firstDelayMs = 200
const longestDelayMs = 10_000

/** Should a wake ever be missed, nothing waits longer than this. */
const idleTickMs = 1000

export function createDeliverer(options: DelivererOptions): Deliverer {
  const { target, cursor, circuit, log, timeoutMs } = options
  const { windowBatches = 8, maxSendEntries = 1000, maxTailBytes = 8 << 20, random = Math.random } = options
  const source = createDeliverySource({ from: options.from, openReader: options.openReader, maxTailBytes })
  const backlog = createDeliveryBacklog()
  /** In the order of the stream; the last one may be held back by the circuit. */
  let window: Batch[] = []
  let cursorAt = options.from
  let caughtUp = false
  let failures = 0
  let failed = false
  let closed = false
  let kicked = false
  let endPause: (() => void) | null = null
  let heedKicks = false
  const drains = new Set<(arrived: boolean) => void>()

  function kick() {
    kicked = true
    if (heedKicks) endPause?.()
  }

  /** False: nothing happened for so long. */
  async function pause(longestMs: number, untilKicked: boolean): Promise<boolean> {
    if (closed || (untilKicked && kicked)) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), longestMs)
    endPause = () => resolve(true)
    heedKicks = untilKicked
    const ended = await promise
    clearTimeout(timer)
    endPause = null
    return ended
  }

  function advanceTo(position: LogPosition) {
    if (comparePositions(position, cursorAt) <= 0) return
    cursorAt = position
    backlog.delivered(position)
    cursor.advance(target, position)
  }

  function arrive(batch: Batch) {
    batch.state = 'arrived'
    if (failures > 0 && !failed) {
      log.info({ target, failures }, 'delivery goes on')
      failures = 0
    }
    while (window[0]?.state === 'arrived') advanceTo(window.shift()!.end)
  }

  async function send(batch: Batch): Promise<void> {
    batch.state = 'sent'
    const failure = await sendWithin(timeoutMs, (signal) => options.send(batch.entries, signal))
    if (closed) return
    if (failure === null) {
      circuit.succeeded()
      arrive(batch)
    } else {
      batch.state = 'failed'
      circuit.failed(failure)
      if (!failed && failures === 0) log.warn({ target, reason: failure }, 'delivery failed; trying again')
      failed = true
    }
    kick()
  }

  /** The next frames that one send takes; null at the end of the stream. */
  async function gather(): Promise<Batch | null> {
    let frame = await source.take()
    if (frame === null) return null
    const batch: Batch = { end: frame.end, entries: [], state: 'held' }
    for (let count = 0; frame !== null; frame = count < maxSendEntries ? source.tryTake() : null) {
      const { entries, unreadable } = entriesOf(frame, options.filter)
      // Frames have checksums, so it was written so: to try again would never help.
      if (unreadable > 0)
        log.warn({ target, unreadable }, 'lines of the log are no entries and were left out')
      batch.entries = batch.entries.length === 0 ? entries : batch.entries.concat(entries)
      batch.end = frame.end
      count += frame.entries
      backlog.find(frame)
    }
    return batch
  }

  /** All sends have ended: what did not arrive, and all after it, is read again. */
  async function restart(): Promise<void> {
    const ceiling = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 16))
    failures++
    await pause(ceiling / 2 + (random() * ceiling) / 2, false)
    window = []
    failed = false
    await source.rewind(cursorAt)
  }

  async function rest(): Promise<void> {
    caughtUp = true
    if (window.length === 0) {
      advanceTo(source.position())
      // Something may have been appended while the disk was read.
      if (!kicked) for (const done of drains) done(true)
    }
    if (!(await pause(idleTickMs, true))) source.doubt()
  }

  async function step(): Promise<void> {
    if (failed) {
      if (!window.some(({ state }) => state === 'sent')) return restart()
      await pause(idleTickMs, true)
      return
    }
    if (window.at(-1)?.state !== 'held') {
      if (window.length >= windowBatches) {
        await pause(idleTickMs, true)
        return
      }
      const next = await gather()
      if (next === null) return rest()
      window.push(next)
      // A send failed while the disk was read: this comes again.
      if (failed) return
    }
    const batch = window.at(-1)!
    if (batch.entries.length === 0) arrive(batch)
    else if (circuit.tryPass()) void send(batch)
    else await pause(firstDelayMs, false)
  }

  async function deliver(): Promise<void> {
    while (!closed) {
      kicked = false
      try {
        await step()
      } catch {
        // The log's disk failed: the same as a target that did. Its message may name the data folder only.
        if (failures === 0) log.warn({ target }, 'the log cannot be read; trying again')
        failed = true
      }
    }
    await source.close()
  }

  const done = deliver()

  return {
    wake() {
      source.doubt()
      kick()
    },
    offer(frame) {
      backlog.append(frame)
      source.offer(frame)
      kick()
    },
    oldestMs() {
      const oldest = backlog.oldestMs()
      if (Number.isFinite(oldest)) return oldest
      return caughtUp ? null : 0
    },
    undelivered: backlog.entries,
    async drain(deadlineMs) {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const deadline = setTimeout(() => resolve(false), deadlineMs)
      drains.add(resolve)
      kick()
      const arrived = await promise
      clearTimeout(deadline)
      drains.delete(resolve)
      return arrived
    },
    close() {
      closed = true
      endPause?.()
      for (const resolve of drains) resolve(false)
      return done
    },
  }
}
