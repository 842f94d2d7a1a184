/**
 * Stops a timer of kafkajs 2.2.4 that fires every millisecond for as long as a connection is open, though
 * nothing waits (https://github.com/tulios/kafkajs/issues/1704): 36 ms of CPU a second and connection here.
 */
import { createRequire } from 'node:module'

type RequestQueue = { pending: unknown[] }
type Schedule = (this: RequestQueue) => void

const done = Symbol.for('waybill.kafkajs-queue')

export function quietRequestQueue(): void {
  const require = createRequire(import.meta.url)
  const { prototype } = require('kafkajs/src/network/requestQueue') as {
    prototype: { scheduleCheckPendingRequests: Schedule; [done]?: true }
  }
  if (prototype[done]) return
  const schedule = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    // `push` schedules for what it queues, so with nothing pending there is nothing to wake up for.
    if (this.pending.length > 0) schedule.call(this)
  }
  prototype[done] = true
}
