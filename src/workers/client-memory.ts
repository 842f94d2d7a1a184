/**
 * Remembers for a minute at most what was found out about clients, so that a pull of many requests is looked up once.
 * An address is never in it: what was found lies under a MAC of the address, whose key is thrown away with all of it.
 */
import { randomFillSync } from 'node:crypto'
import { type ClientFindings, type ClientServices, findClient } from './client-steps.ts'
import { createMacTable } from './mac-table.ts'
import { sipHash, sipKeyWords, sipMessageWords } from './sip-hash.ts'

export type ClientMemory = {
  /** Before each batch. `nowMs`: the time of its enrichment. */
  begin(nowMs: number): void
  /** `findClient` of that time, or what it answered before. `address`: 16 bytes, which are only read. */
  find(address: Uint8Array, userAgent: string): ClientFindings
  /** After each batch. */
  end(): void
  /** Forgets everything and takes another key; by itself once a minute. For when what is looked up in has changed. */
  forget(): void
  close(): void
}

export type ClientMemoryOptions = {
  services: ClientServices
  /** What is known of one takes about 600 bytes. More are forgotten all at once, which costs a look at each. */
  maxClients?: number
  maxAgeMs?: number
}

const defaultMaxClients = 16_384
const defaultMaxAgeMs = 60_000
/** As many as the dispatcher puts into a batch. */
const maxBatchClients = 512

const addressWords = 4

/** Not `new Int32Array(count)`: so few bytes lie in the heap, where the collector leaves copies of them. */
const createWords = (count: number) => new Int32Array(new ArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT))

export function createClientMemory(options: ClientMemoryOptions): ClientMemory {
  const { services, maxClients = defaultMaxClients, maxAgeMs = defaultMaxAgeMs } = options
  const key = createWords(sipKeyWords)
  const message = createWords(sipMessageWords)
  const mac = createWords(2)
  const known = createMacTable<ClientFindings>(maxClients)
  /** Of clients that must be asked for in each batch. */
  const once = createMacTable<ClientFindings>(maxBatchClients)
  let period: ReturnType<ClientServices['pseudonymize']['periodOf']> = null
  let nowMs = 0

  /** Leaves the MAC of the address and the tool in `mac`. */
  function sign(address: Uint8Array, agentNumber: number) {
    for (let word = 0; word < addressWords; word++) {
      const at = 4 * word
      message[word] =
        address[at]! | (address[at + 1]! << 8) | (address[at + 2]! << 16) | (address[at + 3]! << 24)
    }
    message[addressWords] = agentNumber
    sipHash(key, message, mac)
    // In a loop: for so few words `fill` takes ten times as long.
    for (let word = 0; word < addressWords; word++) message[word] = 0
  }

  function forget() {
    known.clear()
    once.clear()
    randomFillSync(key)
  }

  function look(address: Uint8Array, userAgent: string): ClientFindings {
    const findings = findClient(address, userAgent, nowMs, services)
    if (findings.privacy.key_epoch !== period?.epoch) once.tryAdd(mac, findings)
    else if (!known.tryAdd(mac, findings)) forget()
    return findings
  }

  forget()
  const timer = setInterval(forget, maxAgeMs)
  timer.unref()

  return {
    begin(timeMs) {
      nowMs = timeMs
      const present = services.pseudonymize.periodOf(timeMs)
      if (present !== period) forget()
      period = present
    },
    find(address, userAgent) {
      sign(address, services.parseUserAgent(userAgent).number)
      return known.find(mac) ?? once.find(mac) ?? look(address, userAgent)
    },
    end() {
      once.clear()
      services.pseudonymize.forget()
    },
    forget,
    close() {
      clearInterval(timer)
      forget()
      key.fill(0)
    },
  }
}
