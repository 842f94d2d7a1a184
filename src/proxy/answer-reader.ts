/**
 * Finds heads, bodies and ends in the bytes of an upstream's connection (RFC 9112 6 and 7).
 */
import { AnswerHead, isValueByte, maxHeadBytes } from './answer-head.ts'

/** Hears of one answer; may pause or stop the reader in any call. */
export type AnswerTarget = {
  /** `head` is valid during the call. */
  onHead(head: AnswerHead): void
  /** `chunk` is valid during the call. */
  onData(chunk: Buffer): void
  /** `isLast`: nothing may be asked on this connection again. */
  onEnd(isLast: boolean): void
  /** It is no HTTP: what follows cannot be read. */
  onMalformed(): void
}

type State =
  | 'none'
  | 'head'
  | 'sized'
  | 'until-close'
  | 'chunk-size'
  | 'chunk-extension'
  | 'chunk-size-lf'
  | 'chunk-data'
  | 'chunk-data-cr'
  | 'chunk-data-lf'
  | 'trailer-start'
  | 'trailer-line'
  | 'trailer-lf'
  | 'last-lf'

const cr = 0x0d
const lf = 0x0a
const semicolon = 0x3b
const blank = 0x20
const tab = 0x09

// Steps on the way to one answer (RFC 9110 15.2): no server sends more than two or three.
const maxInterim = 16
// Of one chunk's extensions, and of all trailer lines: nothing that is read of them.
const maxExtensionBytes = 1024
const maxTrailerBytes = 16 * 1024
// 2^48: more than any body, and exact as a number.
const maxSizeDigits = 12

/** Heads are read one at a time. */
const head = new AnswerHead()

/** A class for its shape: one for each connection, called for every read of its socket. */
export class AnswerReader {
  isPaused = false
  readonly #target: AnswerTarget
  #state: State = 'none'
  #isHead = false
  #isLast = false
  /** Bytes left of a sized body or a chunk; while a chunk's size is read, that size. */
  #left = 0
  /** Digits of a size, bytes of extensions or of trailers. */
  #spent = 0
  #interim = 0
  /** A head so far. */
  #partial: Buffer | null = null
  /** What came in one read with what paused the reader. */
  #rest: Buffer | null = null

  constructor(target: AnswerTarget) {
    this.#target = target
  }

  /** An answer is to come; `isHead`: to a HEAD, so without a body. */
  expect(isHead: boolean): void {
    this.#state = 'head'
    this.#isHead = isHead
    this.#isLast = false
    this.#interim = 0
  }

  /** Nobody reads on. */
  stop(): void {
    this.#state = 'none'
    this.#partial = null
    this.#rest = null
  }

  /** Bytes of body to come; infinite when nobody said. */
  left(): number {
    if (this.#state === 'sized') return this.#left
    // A head without a body is just being handed on.
    return this.#state === 'head' ? 0 : Number.POSITIVE_INFINITY
  }

  /** `bytes` may be used again after the call. */
  read(bytes: Buffer, length: number): void {
    if (this.#rest) this.#rest = Buffer.concat([this.#rest, bytes.subarray(0, length)])
    else if (this.isPaused) this.#rest = Buffer.from(bytes.subarray(0, length))
    else if (this.#partial) this.#readOn(this.#partial, bytes.subarray(0, length))
    else this.#scan(bytes, length)
  }

  /** After a pause; may be paused again at once. */
  resume(): void {
    this.isPaused = false
    const rest = this.#rest
    this.#rest = null
    if (rest) this.#scan(rest, rest.length)
  }

  /** The upstream has closed its side. @returns whether that was the end of an answer. */
  close(): boolean {
    if (this.#state !== 'until-close') return this.#state === 'none'
    this.#isLast = true
    this.#end()
    return true
  }

  #readOn(partial: Buffer, bytes: Buffer): void {
    const joined = Buffer.concat([partial, bytes])
    this.#partial = null
    // Read again only when it can be whole, so that a head byte by byte costs no more than another.
    if (joined.indexOf('\r\n\r\n', Math.max(0, partial.length - 3), 'latin1') >= 0) {
      this.#scan(joined, joined.length)
    } else if (joined.length > maxHeadBytes) this.#fail()
    else this.#partial = joined
  }

  #scan(bytes: Buffer, to: number): void {
    let at = 0
    while (at < to && this.#state !== 'none') {
      if (this.isPaused) {
        this.#rest = Buffer.from(bytes.subarray(at, to))
        return
      }
      switch (this.#state) {
        case 'head':
          at = this.#readHead(bytes, at, to)
          break
        case 'sized':
        case 'chunk-data':
        case 'until-close':
          at = this.#readData(bytes, at, to)
          break
        default:
          this.#readFraming(bytes[at++] as number, at < to)
      }
    }
  }

  #readHead(bytes: Buffer, at: number, to: number): number {
    const end = head.read(bytes, at, to)
    if (end < 0 || (end === 0 && to - at > maxHeadBytes)) {
      this.#fail()
      return to
    }
    if (end === 0) {
      this.#partial = Buffer.from(bytes.subarray(at, to))
      return to
    }
    const { status } = head
    if (status < 200) {
      // Nothing asked for another protocol (RFC 9110 15.2.2).
      if (status === 101 || ++this.#interim > maxInterim) this.#fail()
      return end
    }
    if (!this.#readFrame(status)) {
      this.#fail()
      return to
    }
    const hasBody = this.#state !== 'head'
    this.#target.onHead(head)
    if (!hasBody && this.#state === 'head') this.#end(end < to)
    return end
  }

  /** RFC 9112 6.3: how the body ends; the state stays 'head' without one. @returns false: nobody can tell. */
  #readFrame(status: number): boolean {
    const { fields, minorVersion } = head
    const { contentLength, transferEncoding } = fields
    this.#isLast = minorVersion === 0 || /(?:^|[\s,])close(?:$|[\s,])/i.test(fields.connection)
    if (transferEncoding !== '' && (contentLength !== '' || minorVersion === 0)) return false
    if (contentLength !== '' && !/^\d{1,15}$/.test(contentLength)) return false
    if (transferEncoding !== '' && transferEncoding.toLowerCase() !== 'chunked') return false
    if (this.#isHead || status === 204 || status === 304) return true
    if (transferEncoding !== '') this.#beginChunk()
    else if (contentLength === '') this.#state = 'until-close'
    else {
      this.#left = Number(contentLength)
      if (this.#left > 0) this.#state = 'sized'
    }
    return true
  }

  #readData(bytes: Buffer, at: number, to: number): number {
    const state = this.#state
    if (state === 'until-close') {
      this.#target.onData(at === 0 && to === bytes.length ? bytes : bytes.subarray(at, to))
      return to
    }
    const end = Math.min(to, at + this.#left)
    this.#left -= end - at
    this.#target.onData(bytes.subarray(at, end))
    // The target may have stopped the reader.
    if (this.#left > 0 || this.#state !== state) return end
    if (state === 'sized') this.#end(end < to)
    else this.#state = 'chunk-data-cr'
    return end
  }

  /** RFC 9112 7.1, a byte at a time: chunks are long, and what frames them is short. */
  #readFraming(byte: number, more: boolean): void {
    switch (this.#state) {
      case 'chunk-size': {
        const digit = hexDigit(byte)
        if (digit >= 0) {
          this.#left = this.#left * 16 + digit
          if (++this.#spent > maxSizeDigits) this.#fail()
        } else if (this.#spent === 0) this.#fail()
        else if (byte === cr) this.#state = 'chunk-size-lf'
        else if (byte === semicolon || byte === blank || byte === tab) {
          this.#state = 'chunk-extension'
          this.#spent = 0
        } else this.#fail()
        return
      }
      case 'chunk-extension':
        if (byte === cr) this.#state = 'chunk-size-lf'
        else if (isValueByte[byte] !== 1 || ++this.#spent > maxExtensionBytes) this.#fail()
        return
      case 'chunk-size-lf':
        if (byte !== lf) return this.#fail()
        this.#spent = 0
        this.#state = this.#left === 0 ? 'trailer-start' : 'chunk-data'
        return
      case 'chunk-data-cr':
        if (byte !== cr) return this.#fail()
        this.#state = 'chunk-data-lf'
        return
      case 'chunk-data-lf':
        if (byte !== lf) return this.#fail()
        this.#beginChunk()
        return
      case 'trailer-start':
        if (byte === cr) this.#state = 'last-lf'
        else this.#readTrailer(byte)
        return
      case 'trailer-line':
        this.#readTrailer(byte)
        return
      case 'trailer-lf':
        if (byte !== lf) return this.#fail()
        this.#state = 'trailer-start'
        return
      case 'last-lf':
        if (byte !== lf) return this.#fail()
        this.#end(more)
    }
  }

  /** RFC 9110 6.5.1: what comes after a body may be dropped, and is. */
  #readTrailer(byte: number): void {
    if (byte === cr && this.#state === 'trailer-line') this.#state = 'trailer-lf'
    else if (isValueByte[byte] !== 1 || ++this.#spent > maxTrailerBytes) this.#fail()
    else this.#state = 'trailer-line'
  }

  #beginChunk(): void {
    this.#state = 'chunk-size'
    this.#left = 0
    this.#spent = 0
  }

  /** `more`: bytes follow that nobody asked for, so what comes on this connection cannot be trusted. */
  #end(more = false): void {
    this.#state = 'none'
    this.#target.onEnd(this.#isLast || more)
  }

  #fail(): void {
    this.stop()
    this.#target.onMalformed()
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
