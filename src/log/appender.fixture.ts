/**
 * A writer on its own thread for the test of concurrent append and read.
 */
import { workerData } from 'node:worker_threads'
import { createLogWriter } from './writer.ts'

type Task = { directory: string; stream: string; frames: number; segmentBytes: number }
const { directory, stream, frames, segmentBytes } = workerData as Task
const writer = createLogWriter({ directory, stream, segmentBytes })
for (let number = 0; number < frames; number += 1) {
  const payload = Buffer.from(`${number}:${'x'.repeat((number * 7919) % 30_000)}`)
  writer.append(payload, { entries: 1, oldestMs: number })
}
await writer.close()
