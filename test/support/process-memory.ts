/** Looks for bytes in all memory that a running process can write, as who reads its core dump would. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

const chunkBytes = 8 << 20

/** Where in the process the bytes are: the name of each region, once for each place. Linux, and the same user. */
export function findInMemory(pid: number, needles: readonly Uint8Array[]): string[] {
  const overlap = Math.max(...needles.map(({ length }) => length)) - 1
  const chunk = Buffer.alloc(chunkBytes + overlap)
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  try {
    return readFileSync(`/proc/${pid}/maps`, 'utf8')
      .split('\n')
      .flatMap((line) => {
        const [, start, end, name = ''] = /^([0-9a-f]+)-([0-9a-f]+) rw\S* \S+ \S+ \S+ *(.*)$/.exec(line) ?? []
        if (start === undefined || end === undefined) return []
        return findInRegion(Number.parseInt(start, 16), Number.parseInt(end, 16)).map(() => name || 'heap')
      })
  } finally {
    closeSync(memory)
  }

  function findInRegion(start: number, end: number): number[] {
    const found: number[] = []
    for (let from = start; from < end; from += chunkBytes) {
      const length = Math.min(chunkBytes + overlap, end - from)
      let read = 0
      try {
        read = readSync(memory, chunk, 0, length, from)
      } catch {
        // Gone since the list was made, or memory of a device.
        return found
      }
      const bytes = chunk.subarray(0, read)
      for (const needle of needles) {
        for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1))
          found.push(from + at)
      }
    }
    return [...new Set(found)]
  }
}
