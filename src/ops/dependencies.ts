/** What all threads know of each dependency: whether it is up, since when, why not, and who may try it next. */
import { hrtime } from 'node:process'
import { dependencyReasons } from './dependency-reasons.ts'

export type DependencyReport = {
  /** `degraded`: it failed last time but is still used; `down`: only single probes reach it. */
  state: 'ok' | 'degraded' | 'down'
  /** RFC 3339 UTC, when this state began. */
  since: string
  /** One of `dependencyReasons`; null while it is ok. */
  why: string | null
}

export type Circuit = {
  /** Whether to use the dependency now; true for one probe at a time while it is down. Costs one load while it is up. */
  tryPass(): boolean
  /** After each use that it answered. */
  succeeded(): void
  /** After each use that it did not answer; `reason`: index into `dependencyReasons`. */
  failed(reason: number): void
}

export type DependencyStates = {
  /** To be handed to other threads, which attach with the same names. */
  sab: SharedArrayBuffer
  /** All that there ever were, in the order of their slots. */
  names: readonly string[]
  /** Takes a slot for a new name, the next one: every thread must add the same names in the same order. false: none is left. */
  add(name: string): boolean
  /** Names that nobody uses any more; told of no longer, until they are left out of another call. */
  retire(names: readonly string[]): void
  /** `names` without those retired. */
  used(): readonly string[]
  circuit(name: string, options?: Partial<CircuitOptions>): Circuit
  report(name: string): DependencyReport
}

export type CircuitOptions = {
  /** Consecutive failures, of all threads together, after which it counts as down. */
  threshold: number
  /** First pause before a probe; it doubles with every failed probe, up to `maxBackoffMs`. */
  backoffMs: number
  maxBackoffMs: number
  /** How long a probe may take before another thread may send one; longer than any timeout of the calls. */
  probeMs: number
  /** Monotonic ms, the same for all threads of the process. */
  now: () => number
  wallNow: () => number
  /** 0 … 1. */
  random: () => number
}

const defaults: CircuitOptions = {
  threshold: 5,
  backoffMs: 500,
  maxBackoffMs: 30_000,
  probeMs: 60_000,
  // Not performance.now(), which starts at 0 in every thread, and not Date.now(), which jumps.
  now: () => Number(hrtime.bigint() / 1_000_000n),
  wallNow: () => Date.now(),
  random: () => Math.random(),
}

const closed = 0
const open = 1
const probing = 2

// A cache line for each dependency, so that a failing one does not slow the loads of the others:
// int32 state, failures, reason + 1, opens; at byte 32 int64 retryAt (monotonic ms), since (Unix ms).
const bytesEach = 64
const ints = bytesEach / 4
const longs = bytesEach / 8
const retryAtSlot = 4
const sinceSlot = 5

/** `spare`: slots for names that are added later. */
export function createDependencyStates(names: readonly string[], spare = 0): DependencyStates {
  const slots = names.length + spare
  const states = attachDependencyStates(names, new SharedArrayBuffer(slots * bytesEach))
  const times = new BigInt64Array(states.sab)
  const startedAt = BigInt(Date.now())
  // Publishes to readers of `report`; no other thread has the memory yet.
  for (let at = 0; at < slots; at += 1) Atomics.store(times, at * longs + sinceSlot, startedAt)
  return states
}

/** The same states in another thread; `names` as `DependencyStates.names` was at any time. */
export function attachDependencyStates(given: readonly string[], sab: SharedArrayBuffer): DependencyStates {
  if (sab.byteLength < given.length * bytesEach) throw new RangeError('not the memory of these dependencies')
  const names = [...given]
  let retired: readonly string[] = []
  const words = new Int32Array(sab)
  const times = new BigInt64Array(sab)
  const indexOf = (name: string): number => {
    const index = names.indexOf(name)
    if (index < 0) throw new RangeError(`no dependency ${name}`)
    return index
  }
  return {
    sab,
    names,
    add(name) {
      if (names.includes(name)) return true
      if (sab.byteLength < (names.length + 1) * bytesEach) return false
      names.push(name)
      return true
    },
    retire(gone) {
      retired = gone
    },
    used: () => (retired.length === 0 ? names : names.filter((name) => !retired.includes(name))),
    circuit: (name, options) => createCircuit(words, times, indexOf(name), { ...defaults, ...options }),
    report(name) {
      const at = indexOf(name)
      // Acquires what the writer of the state stored before it: reason and since belong to this state or a newer one.
      const state = Atomics.load(words, at * ints)
      const failures = Atomics.load(words, at * ints + 1)
      const reason = Atomics.load(words, at * ints + 2)
      const since = Number(Atomics.load(times, at * longs + sinceSlot))
      const ok = state === closed && failures === 0
      return {
        state: ok ? 'ok' : state === closed ? 'degraded' : 'down',
        since: new Date(since).toISOString(),
        why: ok ? null : (dependencyReasons[reason - 1] ?? 'other'),
      }
    },
  }
}

function createCircuit(
  words: Int32Array,
  times: BigInt64Array,
  index: number,
  options: CircuitOptions,
): Circuit {
  const stateAt = index * ints
  const failuresAt = stateAt + 1
  const reasonAt = stateAt + 2
  const opensAt = stateAt + 3
  const retryAt = index * longs + retryAtSlot
  const sinceAt = index * longs + sinceSlot
  // Publishes when this state began; stored before the state, so that who sees the state sees its time.
  const markSince = (): void => {
    Atomics.store(times, sinceAt, BigInt(Math.round(options.wallNow())))
  }
  const pauseMs = (opens: number): number => {
    const full = Math.min(options.maxBackoffMs, options.backoffMs * 2 ** Math.min(opens, 30))
    // Up to a quarter less, so that the nodes of a cluster do not all probe in the same moment.
    return full * (1 - options.random() / 4)
  }

  return {
    tryPass() {
      // Acquires the retry time stored before the state became `open`.
      if (Atomics.load(words, stateAt) === closed) return true
      const due = Atomics.load(times, retryAt)
      const now = options.now()
      if (now < Number(due)) return false
      // The right to probe is the move of the retry time: of all threads that read `due` one moves it. It also
      // takes the right from a probe that never reported (its thread died), once `probeMs` have gone.
      const lease = BigInt(Math.round(now + options.probeMs))
      if (Atomics.compareExchange(times, retryAt, due, lease) !== due) return false
      // Not a store: a success may have closed the circuit since the load above, and it must stay closed.
      Atomics.compareExchange(words, stateAt, open, probing)
      return true
    },

    succeeded() {
      // Two loads that change nothing are all that a healthy dependency costs.
      if (Atomics.load(words, stateAt) === closed && Atomics.load(words, failuresAt) === 0) return
      Atomics.store(words, opensAt, 0)
      markSince()
      Atomics.store(words, failuresAt, 0)
      // Publishes the above; last, so that no thread finds the circuit closed with its failures still full.
      Atomics.store(words, stateAt, closed)
    },

    failed(reason) {
      // Publishes the reason before the state that it explains.
      Atomics.store(words, reasonAt, reason + 1)
      const state = Atomics.load(words, stateAt)
      // A call that began before the circuit opened: it says nothing new, and must not put the next probe off.
      if (state === open) return
      if (state === probing) {
        // One of the threads whose calls failed reopens; until its new retry time is stored the lease holds.
        if (Atomics.compareExchange(words, stateAt, probing, open) !== probing) return
        const opens = Atomics.add(words, opensAt, 1) + 1
        Atomics.store(times, retryAt, BigInt(Math.round(options.now() + pauseMs(opens))))
        return
      }
      // Atomic: failures of several threads count together.
      const failures = Atomics.add(words, failuresAt, 1) + 1
      if (failures === 1) markSince()
      if (failures < options.threshold) return
      const before = Atomics.load(times, retryAt)
      // Acquires an opening by another thread; without this look, one that came after it could move a probe's lease.
      if (Atomics.load(words, stateAt) !== closed) return
      // The retry time must stand before the circuit is seen open, else the next caller would probe at once; a
      // thread that comes late with it (another already opened, a third already probes) must not move it back.
      const due = BigInt(Math.round(options.now() + pauseMs(0)))
      if (Atomics.compareExchange(times, retryAt, before, due) !== before) return
      markSince()
      // Publishes retry time, reason and since.
      Atomics.compareExchange(words, stateAt, closed, open)
    },
  }
}
