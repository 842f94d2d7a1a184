/** An idle connection of kafkajs holds no timer; one with something pending does. */
import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { quietRequestQueue } from './kafkajs-queue.ts'

type Queue = {
  pending: unknown[]
  throttleCheckTimeoutId: NodeJS.Timeout | null
  scheduleCheckPendingRequests(): void
  destroy(): void
}

test('only what is pending is waited for', () => {
  quietRequestQueue()
  quietRequestQueue()
  const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as new (
    options: object,
  ) => Queue
  const queue = new RequestQueue({ logger: { debug: () => undefined }, requestTimeout: 1000 })
  queue.scheduleCheckPendingRequests()
  expect(queue.throttleCheckTimeoutId).toBeNull()
  queue.pending.push({})
  queue.scheduleCheckPendingRequests()
  expect(queue.throttleCheckTimeoutId).not.toBeNull()
  queue.destroy()
})
