/** Refuses clients by their address: one search in a table that all proxy threads share, made in the main thread. */
import { openTable } from '../geo/range-table.ts'

export const blockReasons = ['range', 'asn', 'company', 'country', 'type'] as const
export type BlockReason = (typeof blockReasons)[number]

/** Why the client is refused; null: it is not. `address`: 16 bytes, IPv4 mapped. */
export type Block = (address: Uint8Array) => BlockReason | null

/** null: nobody is refused, and no request pays for it. */
export function createBlock(memory: SharedArrayBuffer | null): Block | null {
  const table = memory === null ? null : openTable(memory)
  if (table === null || 'error' in table) return null
  const reasons = Array.from({ length: table.rows }, (_, row) => {
    const [name] = table.row(row)
    return blockReasons.find((reason) => reason === name) ?? null
  })
  return (address) => reasons[table.find(address)] ?? null
}
