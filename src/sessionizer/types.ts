/**
 * The fact: what a session keeps of one request event; with the manifest graph it is all that
 * `summarise` sees.
 */
import type { Manifest, Origin, PackageEvent } from '../record/events.ts'
import type { Outcome } from '../record/record.ts'

/** What is the same for most facts of a session; stored once and shared. */
export type FactContext = {
  session_method: 'token' | 'client'
  domain: string | null
  repository: string
  upstream: string | null
  upstream_repository: string | null
} & Origin

export type Fact = {
  /** The record's id; a heartbeat has that of the request it speaks of. */
  id: string
  heartbeat: boolean
  sessionId: string
  /** Unix ms of the request's start. */
  time: number
  durationMs: number
  method: 'GET' | 'HEAD'
  class: 'manifest' | 'blob' | 'tags' | 'referrers'
  /** Tag or digest. */
  reference: string | null
  digest: string | null
  status: number
  outcome: Outcome
  bytesSent: number
  /** Position of the first body byte in the representation, and its complete length. */
  offset: number
  size: number | null
  aborted: boolean
  context: FactContext
}

/** Manifests by digest, as far as they are known. */
export type Graph = ReadonlyMap<string, Manifest>

export type Summary = {
  /** Finished pulls, each with the ids of the facts that went into it. */
  finished: { event: PackageEvent; factIds: string[] }[]
  /** Facts that wait for more, in order of (time, id). */
  remaining: Fact[]
  /** Ids of facts that no event counts: challenges (401), and repeats that came after their pull was over. */
  discarded: string[]
}
