/**
 * The head of an upstream's answer: read from the bytes of its connection (RFC 9112 2 to 5), and handed on.
 */
import { nominatedDown, passesDown } from './headers.ts'

/** What the front reads of an upstream's answer itself; values as Latin-1 text, '' when absent. */
export type AnswerFields = {
  contentLength: string
  transferEncoding: string
  contentType: string
  contentRange: string
  digest: string
  location: string
  link: string
  challenge: string
  retryAfter: string
  etag: string
  connection: string
  keepAlive: string
  rateLimitRemaining: string
}

const readFields: Record<string, keyof AnswerFields> = {
  'content-length': 'contentLength',
  'transfer-encoding': 'transferEncoding',
  'content-type': 'contentType',
  'content-range': 'contentRange',
  'docker-content-digest': 'digest',
  location: 'location',
  link: 'link',
  'www-authenticate': 'challenge',
  'retry-after': 'retryAfter',
  etag: 'etag',
  connection: 'connection',
  'keep-alive': 'keepAlive',
  'ratelimit-remaining': 'rateLimitRemaining',
}

/** A literal, as copying another object costs more than making one. */
export function emptyFields(): AnswerFields {
  return {
    contentLength: '',
    transferEncoding: '',
    contentType: '',
    contentRange: '',
    digest: '',
    location: '',
    link: '',
    challenge: '',
    retryAfter: '',
    etag: '',
    connection: '',
    keepAlive: '',
    rateLimitRemaining: '',
  }
}

// Names repeat with every answer: each is judged once.
type NameRule = { name: string; passes: boolean; field: keyof AnswerFields | null }
const rules = new Map<string, NameRule>()
const maxRules = 512

function ruleOf(text: string): NameRule {
  const known = rules.get(text)
  if (known) return known
  const name = text.toLowerCase()
  const rule: NameRule = { name, passes: passesDown(name), field: readFields[name] ?? null }
  // A copy, as the name is a slice that would keep its whole head alive.
  if (rules.size < maxRules) rules.set(Buffer.from(text, 'latin1').toString('latin1'), rule)
  return rule
}

// More than any registry sends, and no more than common proxies and clients take.
const maxLines = 98
const maxBlockBytes = 16 * 1024
/** Bytes of a head that is not at its end yet; more cannot be handed on anyway. */
export const maxHeadBytes = 32 * 1024

const tab = 0x09
const lf = 0x0a
const cr = 0x0d
const blank = 0x20
const colon = 0x3a

const isTokenByte = new Uint8Array(256)
for (const byte of Buffer.from(
  "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
)) {
  isTokenByte[byte] = 1
}
/** RFC 9110 5.5: visible, obs-text, blanks and tabs. */
export const isValueByte: Uint8Array = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  isValueByte[byte] = byte === tab || (byte >= blank && byte !== 0x7f) ? 1 : 0
}

const versionStart = Buffer.from('HTTP/1.')
/** `HTTP/1.1 200`. */
const statusEnd = 12

/** The block of header lines that is handed on; its first line is always `Via`, of which here is the value alone. */
const scratch = Buffer.allocUnsafeSlow(maxBlockBytes + maxHeadBytes)
const viaBytes = scratch.write('1.1 waybill', 'latin1')

/** A class for its shape: one reads all heads of a thread, one after the other. */
export class AnswerHead {
  status = 0
  /** Of HTTP/1. */
  minorVersion = 1
  /** New for each head, so it may be kept. */
  fields: AnswerFields = emptyFields()
  #bytes: Buffer = scratch
  #count = 0
  /** For each line: where its name begins and its value ends in `#bytes`. */
  readonly #bounds = new Int32Array(2 * maxLines)
  readonly #rules: NameRule[] = []

  /**
   * Reads the head that begins at `from`; all of it is checked, as what comes after must not be taken for the next
   * answer: a folded line, a bare CR or LF, a blank before the colon are no HTTP.
   * @returns where it ends; 0: it goes on behind `to`; -1: it is none.
   */
  read(bytes: Buffer, from: number, to: number): number {
    let at = this.#readStatusLine(bytes, from, to)
    if (at <= 0) return at
    this.#bytes = bytes
    this.fields = emptyFields()
    this.#count = 0
    for (;;) {
      if (at >= to) return 0
      const nameAt = at
      while (at < to && isTokenByte[bytes[at] as number] === 1) at++
      if (at === to) return 0
      if (at === nameAt) {
        if (bytes[at] !== cr) return -1
        if (at + 1 === to) return 0
        return bytes[at + 1] === lf ? at + 2 : -1
      }
      if (bytes[at] !== colon || this.#count === maxLines) return -1
      const nameEnd = at++
      while (at < to && isBlank(bytes[at] as number)) at++
      const valueAt = at
      while (at < to && isValueByte[bytes[at] as number] === 1) at++
      if (at + 1 >= to) return at === to || bytes[at] === cr ? 0 : -1
      if (bytes[at] !== cr || bytes[at + 1] !== lf) return -1
      this.#addLine(nameAt, nameEnd, valueAt, at)
      at += 2
    }
  }

  /** RFC 9112 4, also without the blank before an empty reason. */
  #readStatusLine(bytes: Buffer, from: number, to: number): number {
    for (let index = 0; index < versionStart.length; index++) {
      if (from + index === to) return 0
      if (bytes[from + index] !== versionStart[index]) return -1
    }
    if (from + statusEnd >= to) return 0
    const minor = (bytes[from + 7] as number) - 0x30
    if ((minor !== 0 && minor !== 1) || bytes[from + 8] !== blank) return -1
    let status = 0
    for (let at = from + 9; at < from + statusEnd; at++) {
      const digit = (bytes[at] as number) - 0x30
      if (digit < 0 || digit > 9) return -1
      status = status * 10 + digit
    }
    let at = from + statusEnd
    if (status < 100 || (bytes[at] !== blank && bytes[at] !== cr)) return -1
    while (at < to && isValueByte[bytes[at] as number] === 1) at++
    if (at + 1 >= to) return at === to || bytes[at] === cr ? 0 : -1
    this.status = status
    this.minorVersion = minor
    return bytes[at] === cr && bytes[at + 1] === lf ? at + 2 : -1
  }

  #addLine(nameAt: number, nameEnd: number, valueAt: number, lineEnd: number): void {
    const bytes = this.#bytes
    const rule = ruleOf(bytes.toString('latin1', nameAt, nameEnd))
    this.#rules[this.#count] = rule
    this.#bounds[2 * this.#count] = nameAt
    this.#bounds[2 * this.#count + 1] = lineEnd
    this.#count++
    if (!rule.field) return
    let valueEnd = lineEnd
    while (valueEnd > valueAt && isBlank(bytes[valueEnd - 1] as number)) valueEnd--
    const text = bytes.toString('latin1', valueAt, valueEnd)
    const { fields } = this
    // Several lines of one field are one list (RFC 9110 5.3).
    fields[rule.field] = fields[rule.field] === '' ? text : `${fields[rule.field]}, ${text}`
  }

  /**
   * The lines that are handed on, as one buffer from the value of the first on: that is always `Via: 1.1 waybill`,
   * so that uWebSockets.js is crossed into once for all (`writeHeader(via, block)`). Valid until the next head is
   * read; null: larger than can be.
   */
  block(): Buffer | null {
    const { connection } = this.fields
    // The two usual values nominate nothing.
    const nominated =
      connection === '' || connection === 'keep-alive' || connection === 'close'
        ? null
        : nominatedDown(connection)
    const bounds = this.#bounds
    let length = viaBytes
    for (let index = 0; index < this.#count; index++) {
      if (!this.#passes(index, nominated)) continue
      // Lines that stand together go in one copy, each with the line end before it.
      const from = (bounds[2 * index] as number) - 2
      while (index + 1 < this.#count && this.#passes(index + 1, nominated)) index++
      const to = bounds[2 * index + 1] as number
      if (length + to - from > maxBlockBytes) return null
      length += this.#bytes.copy(scratch, length, from, to)
    }
    return scratch.subarray(0, length)
  }

  #passes(index: number, nominated: readonly string[] | null): boolean {
    const rule = this.#rules[index] as NameRule
    return rule.passes && (nominated === null || !nominated.includes(rule.name))
  }

  /** The same head, in memory of its own. */
  copy(): AnswerHead {
    const from = this.#count === 0 ? 0 : (this.#bounds[0] as number)
    const to = this.#count === 0 ? 0 : (this.#bounds[2 * this.#count - 1] as number)
    return headOf(this.status, this.#bytes.toString('latin1', from, to))
  }
}

/** A head of the front's own; `lines` without line end at the end. */
export function headOf(status: number, lines: string): AnswerHead {
  const bytes = Buffer.from(`HTTP/1.1 ${status} \r\n${lines}${lines === '' ? '' : '\r\n'}\r\n`, 'latin1')
  const head = new AnswerHead()
  if (head.read(bytes, 0, bytes.length) !== bytes.length) throw new Error('no head')
  return head
}

function isBlank(byte: number): boolean {
  return byte === blank || byte === tab
}
