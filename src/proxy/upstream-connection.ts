/**
 * One connection to an upstream (HTTP/1.1, one request at a time), over a socket that reads into the thread's own
 * buffer: no memory is allocated for what is read.
 */
import type { Socket } from 'node:net'
import type { AnswerHead } from './answer-head.ts'
import { AnswerReader, type AnswerTarget } from './answer-reader.ts'
import type { UpstreamErrorReason } from './types.ts'
import { reasonOf } from './upstream-errors.ts'

/** Hears of the answer to one request. After `onEnd`, `onFail` or `drop()` nothing more comes. */
export type AnswerHandler = {
  /** `head` is valid during the call. */
  onHead(head: AnswerHead): void
  /** `chunk` is valid during the call: whoever needs it later copies it. */
  onData(chunk: Buffer): void
  onEnd(): void
  onFail(reason: UpstreamErrorReason): void
}

export type ConnectionLimits = {
  connectTimeoutMs: number
  /** Until the head of an answer is whole. */
  headTimeoutMs: number
  /** Silence in the middle of a body. */
  bodyTimeoutMs: number
  keepAliveMs: number
}

/** Whose connection it is. */
export type ConnectionOwner = {
  /** It may be asked again. */
  freed(connection: UpstreamConnection): void
  /** It is closed, or about to be. */
  closed(connection: UpstreamConnection): void
}

type Phase = 'connect' | 'head' | 'body' | 'drain' | 'idle' | 'closed'

/** Opens the socket; it must read into `buffer`, and calls `onRead` for each read, which says whether to go on. */
export type OpenSocket = (buffer: Buffer, onRead: (length: number) => boolean) => Socket

// As many bytes as one read of the system gives: a thread reads one socket at a time, and what is read is handed
// on, or copied, before the next.
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)
// Less than what a new connection costs.
const maxDrainedBytes = 64 * 1024
const drainTimeoutMs = 5000
// The upstream may close an idle connection just as it is asked again; this much before it says so, it is let go.
const keepAliveMarginMs = 2000
const longestKeepAliveMs = 300_000

/** A class for its shape: its methods are called for every chunk. */
export class UpstreamConnection implements AnswerTarget {
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  readonly #limits: ConnectionLimits
  readonly #reader = new AnswerReader(this)
  #handler: AnswerHandler | null = null
  #phase: Phase = 'connect'
  /** Monotonic time that the phase's deadline counts from. */
  #sinceMs: number
  /** Bytes came since the last sweep. */
  #hasMoved = false
  #text = ''
  #keepAliveMs: number

  constructor(owner: ConnectionOwner, limits: ConnectionLimits, open: OpenSocket, isTls: boolean) {
    this.#owner = owner
    this.#limits = limits
    this.#keepAliveMs = limits.keepAliveMs
    this.#sinceMs = performance.now()
    this.#socket = open(readBuffer, (length) => this.#onRead(length))
    this.#socket.setNoDelay(true)
    this.#socket.once(isTls ? 'secureConnect' : 'connect', () => this.#onConnect())
    this.#socket.on('error', (error) => this.fail(reasonOf(error)))
    this.#socket.once('end', () => this.#onUpstreamEnd())
    this.#socket.once('close', () => this.fail('reset'))
  }

  /** `text`: all of the request, in Latin-1. Only of a new connection, or one that was `freed`. */
  ask(text: string, isHead: boolean, handler: AnswerHandler): void {
    this.#handler = handler
    this.#reader.expect(isHead)
    if (this.#phase === 'connect') {
      this.#text = text
      return
    }
    this.#send(text)
  }

  pause(): void {
    this.#reader.isPaused = true
  }

  resume(): void {
    if (!this.#reader.isPaused) return
    this.#hasMoved = true
    this.#reader.resume()
    if (!this.#reader.isPaused && this.#phase !== 'closed') this.#socket.resume()
  }

  /** Nobody wants the rest of the answer: it is read when it is known to be little, or the connection ends. */
  drop(): void {
    this.#handler = null
    if (this.#phase !== 'body' || this.#reader.left() > maxDrainedBytes) return this.close()
    this.#phase = 'drain'
    this.#sinceMs = performance.now()
    // Not at once: the reader may be in the middle of the call that led here.
    if (this.#reader.isPaused) setImmediate(() => this.resume())
  }

  close(): void {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#handler = null
    this.#reader.stop()
    this.#socket.destroy()
    this.#owner.closed(this)
  }

  /** Called about once a second. */
  sweep(nowMs: number): void {
    if (this.#hasMoved || this.#reader.isPaused) {
      this.#hasMoved = false
      if (this.#phase === 'body') this.#sinceMs = nowMs
    }
    const { connectTimeoutMs, headTimeoutMs, bodyTimeoutMs } = this.#limits
    const elapsedMs = nowMs - this.#sinceMs
    if (this.#phase === 'connect' && elapsedMs > connectTimeoutMs) this.fail('timeout_connect')
    else if (this.#phase === 'head' && elapsedMs > headTimeoutMs) this.fail('timeout_first_byte')
    else if (this.#phase === 'body' && elapsedMs > bodyTimeoutMs) this.fail('timeout_body')
    else if (this.#phase === 'drain' && elapsedMs > drainTimeoutMs) this.close()
    else if (this.#phase === 'idle' && elapsedMs > this.#keepAliveMs) this.close()
  }

  onHead(head: AnswerHead): void {
    this.#phase = 'body'
    const said = /(?:^|[\s,;])timeout=(\d{1,9})/i.exec(head.fields.keepAlive)
    if (said) this.#keepAliveMs = Math.min(longestKeepAliveMs, Number(said[1]) * 1000 - keepAliveMarginMs)
    this.#handler?.onHead(head)
  }

  onData(chunk: Buffer): void {
    this.#handler?.onData(chunk)
  }

  onEnd(isLast: boolean): void {
    const handler = this.#handler
    this.#handler = null
    if (isLast || this.#keepAliveMs <= 0) this.close()
    else {
      this.#phase = 'idle'
      this.#sinceMs = performance.now()
      // A pause was for this answer; what follows it must be seen, and be it the end of the connection.
      this.resume()
      this.#owner.freed(this)
    }
    handler?.onEnd()
  }

  onMalformed(): void {
    this.fail('protocol')
  }

  #onConnect(): void {
    if (this.#phase !== 'connect') return
    const text = this.#text
    this.#text = ''
    this.#send(text)
  }

  #send(text: string): void {
    this.#phase = 'head'
    this.#sinceMs = performance.now()
    this.#socket.write(text, 'latin1')
  }

  #onRead(length: number): boolean {
    // Nobody asked for it: the next answer would be taken for another's.
    if (this.#phase === 'idle') this.close()
    if (this.#phase === 'closed') return false
    this.#hasMoved = true
    this.#reader.read(readBuffer, length)
    return !this.#reader.isPaused
  }

  #onUpstreamEnd(): void {
    if (!this.#reader.close()) this.fail('reset')
    else this.close()
  }

  /** Closes the connection, and tells whoever waits for an answer. */
  fail(reason: UpstreamErrorReason): void {
    if (this.#phase === 'closed') return
    const handler = this.#handler
    this.close()
    handler?.onFail(reason)
  }
}
