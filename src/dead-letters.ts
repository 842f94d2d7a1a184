/**
 * Sets records aside that no worker could handle: a file in the data folder keeps them, without address.
 */
import { appendFileSync, renameSync, statSync } from 'node:fs'
import type { DeadLetter } from './publisher/dead-letter.ts'
import { recordId } from './record/decode.ts'
import { forEachFrame } from './ring/reader.ts'
import { deadLetter } from './workers/dead-letter.ts'

/** The file is turned over at this size, once: twice as much is kept. */
const maxBytes = 32 * 1024 * 1024

export type DeadLetterSlice = {
  sab: SharedArrayBuffer
  from: number
  to: number
  ring: number
  reason: string
}

/** One letter for each frame of the slice; throws the system error when the file cannot be written. */
export function setAside(
  options: { file: string; boot: string; node: string },
  slice: DeadLetterSlice,
): DeadLetter[] {
  const letters: DeadLetter[] = []
  forEachFrame(slice.sab, slice.from, slice.to, (bytes, _view, offset, length) => {
    const record = deadLetter(bytes, offset)
    letters.push({
      schema: 'waybill.dead-letter/1',
      id: recordId(options.boot, slice.ring, record?.sequence ?? 0),
      time: new Date().toISOString(),
      reason: slice.reason,
      stream: null,
      key: null,
      bytes: length,
      entry: record && JSON.stringify(record),
      node: options.node,
    })
  })
  turnOver(options.file)
  appendFileSync(options.file, letters.map((letter) => `${JSON.stringify(letter)}\n`).join(''), {
    mode: 0o600,
  })
  return letters
}

function turnOver(file: string): void {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size > maxBytes) renameSync(file, `${file}.1`)
}
