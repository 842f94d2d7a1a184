/**
 * A reader on its own thread: sums the timestamps of the range it is handed, or dies over it.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { forEachFrame } from './reader.ts'

type Task = { sab: SharedArrayBuffer; from: number; to: number; die: boolean }
const { sab, from, to, die } = workerData as Task
let sum = 0
let frames = 0
forEachFrame(sab, from, to, (_bytes, view, offset) => {
  sum += view.getFloat64(offset + 8, true)
  frames += 1
  if (die) process.exit(7)
})
parentPort?.postMessage({ sum, frames })
