/** What is kept of a record that no worker can enrich: enough to find the fault, nothing of who it was. */
import { decodeRecord } from '../record/decode.ts'
import type { WaybillRecord } from '../record/record.ts'
import { createUserAgentParser } from './user-agent.ts'

export type DeadLetter = Omit<WaybillRecord, 'address' | 'nonce' | 'userAgent'> & {
  /** Of the User-Agent: the whole string can tell one machine from all others. */
  tool: string | null
  version: string | null
}

const parseUserAgent = createUserAgentParser(1)

/** The frame at `offset` of a ring's memory; null when it holds no record that can be read. */
export function deadLetter(bytes: Buffer, offset: number): DeadLetter | null {
  try {
    const { address, nonce, userAgent, ...rest } = decodeRecord(bytes, offset)
    address.fill(0)
    nonce.fill(0)
    const { tool, version } = parseUserAgent(userAgent)
    return { ...rest, tool, version }
  } catch {
    return null
  }
}
