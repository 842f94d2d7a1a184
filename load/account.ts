/** After the load: has every request left one record, and is each in exactly one package event? */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { scrape, waitUntilDelivered } from '../bench/support/scrape.ts'
import type { PackageEvent } from '../src/record/events.ts'
import { command, type Waybill } from '../test/support/waybill.ts'

export type Sent = {
  requests: number
  /** Those to a repository, which sessions count. */
  counted: number
  longestMs: number
}

const pollMs = 1000

export type Account = { lines: string[]; problems: string[] }

/** `idleMs`: the sessions' idle time; `timeoutMs`: how long the last package event may take. */
export async function settleAccount(
  waybill: Waybill,
  sent: Sent,
  options: { idleMs: number; timeoutMs: number },
): Promise<Account> {
  const problems: string[] = []
  const expect = (what: string, found: number, expected: number): void => {
    if (found !== expected) problems.push(`${what}: ${found}, not ${expected}`)
  }
  const startedMs = performance.now()
  const deadlineMs = startedMs + options.timeoutMs
  if (!(await waitUntilDelivered(waybill.admin, options.timeoutMs))) {
    problems.push(`not everything was delivered in ${options.timeoutMs / 1000} s`)
  }
  let events = await readEvents(waybill.data)
  // The store itself is asked: the gauge of open sessions is old while many sessions are being closed.
  while (events.requests < sent.counted && performance.now() < deadlineMs) {
    await delay(pollMs)
    events = await readEvents(waybill.data)
  }
  const waitedMs = performance.now() - startedMs
  const metrics = await scrape(waybill.admin)
  const answered = metrics.sum('waybill_proxy_requests_total')
  const records = metrics.sum('waybill_ring_records_total')
  const dropped = metrics.sum('waybill_ring_dropped_records_total')
  expect('requests that Waybill counted', answered, sent.requests)
  // A transfer that takes longer leaves a heartbeat in between.
  const heartbeats = sent.longestMs >= options.idleMs / 3
  if (!heartbeats || records + dropped < sent.requests) expect('records', records + dropped, sent.requests)
  expect('aborted answers', metrics.sum('waybill_proxy_downstream_aborts_total'), 0)
  expect('records lost from the log', metrics.sum('waybill_log_dropped_records_total'), 0)
  expect('dead letters', metrics.sum('waybill_dead_letters_total'), 0)

  expect('different event ids', events.ids.size, events.count)
  expect('events in the store', events.count, metrics.sum('waybill_events_total'))
  if (dropped === 0) expect('requests in package events', events.requests, sent.counted)
  return {
    lines: [
      `${sent.requests} requests sent, ${answered} counted, ${records} records, ${dropped} dropped`,
      `${sent.counted} requests to repositories, ${events.requests} of them in ${events.count} package events`,
      `all in events ${(waitedMs / 1000).toFixed(1)} s after the load`,
    ],
    problems,
  }
}

/** Line by line: there may be a hundred thousand of them. */
async function readEvents(data: string): Promise<{ count: number; requests: number; ids: Set<string> }> {
  const child = spawn(command, ['events', '--data', data, '--format', 'ndjson'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = new Promise<number | null>((resolve) => child.on('close', resolve))
  const events = { count: 0, requests: 0, ids: new Set<string>() }
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line) as PackageEvent
    events.count++
    events.requests += event.requests
    events.ids.add(event.id)
  }
  const code = await exited
  if (code !== 0) throw new Error(`waybill events ended with ${code}`)
  return events
}
