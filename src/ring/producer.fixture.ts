/**
 * A producer on its own thread for the two-thread test: frames of varying length, numbered, no sleeping.
 */
import { workerData } from 'node:worker_threads'
import { createRingWriter } from './writer.ts'

const { sab, frames } = workerData as { sab: SharedArrayBuffer; frames: number }
const writer = createRingWriter(sab)

for (let sequence = writer.nextSequence(); sequence <= frames; sequence = writer.nextSequence()) {
  const length = 24 + ((sequence * 7919) % 200)
  let offset = writer.tryClaim(length, false)
  while (offset < 0) offset = writer.tryClaim(length, false)
  writer.view.setFloat64(offset + 8, sequence, true)
  for (let at = 16; at < length; at += 1) writer.bytes[offset + at] = (sequence + at) & 0xff
  writer.commit()
}
