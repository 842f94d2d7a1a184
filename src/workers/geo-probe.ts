/** Tries a geo database before it is used: damage shows only at the addresses that lead to it. */
import type { Reader, Response } from 'maxmind'
import { readNode } from '../geo/mmdb-tree.ts'

/** Walks from the root to a record, each with a lookup: a few milliseconds for any file. */
const walkCount = 2000

/** MaxMind DB format 2.0: sixteen zero bytes between the search tree and the records. */
const separatorBytes = 16

type Side = 0 | 1

/** In the form that lookups take. */
function formatBits(bits: readonly number[], ipVersion: number): string {
  const width = ipVersion === 4 ? 8 : 16
  const groups: string[] = []
  for (let i = 0; i < (ipVersion === 4 ? 32 : 128); i += width) {
    const group = bits
      .slice(i, i + width)
      .reduce((sum, bit, place) => sum + bit * 2 ** (width - 1 - place), 0)
    groups.push(group.toString(ipVersion === 4 ? 10 : 16))
  }
  return groups.join(ipVersion === 4 ? '.' : ':')
}

/** False, or a throw, when the file cannot be trusted. Some damage answers wrongly and cannot be seen. */
export function isSound(sab: SharedArrayBuffer, reader: Reader<Response>): boolean {
  const bytes = Buffer.from(sab)
  const { nodeCount, recordSize, searchTreeSize, ipVersion } = reader.metadata
  if (!Number.isSafeInteger(nodeCount) || nodeCount < 1 || searchTreeSize > bytes.length) return false
  const separator = bytes.subarray(searchTreeSize, searchTreeSize + separatorBytes)
  if (separator.some((byte) => byte !== 0)) return false

  // A linear congruential generator (Numerical Recipes): the same walks each time.
  let state = 1
  const nextSide = (): Side => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 31 === 1 ? 1 : 0
  }

  for (let walk = 0; walk < walkCount; walk++) {
    const bits: number[] = []
    let node = 0
    while (node < nodeCount && bits.length < (ipVersion === 4 ? 32 : 128)) {
      const side = nextSide()
      const other = side === 0 ? 1 : 0
      // Rather where something is: most of the address space is empty.
      const taken = readNode(bytes, recordSize, node, side) === nodeCount ? other : side
      node = readNode(bytes, recordSize, node, taken)
      bits.push(taken)
    }
    // The tree goes deeper than an address is long.
    if (node < nodeCount) return false
    reader.get(formatBits(bits, ipVersion))
  }
  return true
}
