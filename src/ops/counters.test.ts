import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import { classes, outcomes } from '../record/record.ts'
import { bucketBoundsMs, statusCodes, upstreamErrorReasons } from './counter-layout.ts'
import { sumCounters } from './counter-totals.ts'
import { createCountersMemory, createProxyCounters } from './counters.ts'

test('totals of several threads equal a naive count of the same requests', () => {
  const { pick } = createRandom(7)
  const hosts = ['a.example', 'b.example', 'a.example']
  const memories = [0, 1, 2].map(() => createCountersMemory(hosts.length))
  const writers = memories.map((sab) => createProxyCounters({ sab, upstreams: hosts.length }))
  const naive = new Map<string, number>()
  const count = (key: string, by = 1): unknown => naive.set(key, (naive.get(key) ?? 0) + by)
  const statuses = [...statusCodes, 0, 299, 418, 599, 1000, -1]
  const bucket = (ms: number): string => String(bucketBoundsMs.find((bound) => ms <= bound) ?? 'inf')
  const durations = [...bucketBoundsMs, 0, 0.4, 3, 77, 4_000, 299_999, 300_001, 1e7]

  for (let round = 0; round < 20_000; round += 1) {
    const writer = pick(writers)
    const [requestClass, outcome, status] = [pick(classes), pick(outcomes), pick(statuses)]
    const [durationMs, firstByteMs, bytes] = [pick(durations), pick([-1, ...durations]), round]
    writer.countRequest(requestClass, outcome, status, durationMs, firstByteMs, bytes)
    const code = (statusCodes as readonly number[]).includes(status) ? String(status) : 'other'
    count(`request ${requestClass} ${outcome} ${code}`)
    count(`duration ${requestClass} ${outcome} ${bucket(durationMs)}`)
    count(`duration ${requestClass} ${outcome} sum`, durationMs)
    if (firstByteMs >= 0) count(`first ${requestClass} ${outcome} ${bucket(firstByteMs)}`)
    count('bytes', bytes)

    const index = pick([-1, 0, 1, 2, 3])
    const reason = pick(upstreamErrorReasons)
    writer.countUpstream(index, status, durationMs)
    writer.countUpstreamError(index, reason)
    writer.countUpstreamError(index, upstreamErrorReasons.indexOf(reason))
    const host = hosts[index]
    if (host !== undefined) {
      count(`upstream ${host} ${code}`)
      count(`error ${host} ${reason}`, 2)
      count(`up ${host} ${bucket(durationMs)}`)
    }
  }

  const totals = sumCounters(memories, hosts)
  const seen = new Map<string, number>()
  for (const { labels, value } of totals.requests()) {
    const { class: requestClass, outcome, code } = labels
    seen.set(`request ${requestClass} ${outcome} ${code}`, value)
  }
  const spread = (key: string, samples: ReturnType<typeof totals.duration>, names: string[]): void => {
    for (const { labels, counts } of samples) {
      for (const [at, value] of counts.entries()) {
        const place = `${key} ${names.map((name) => labels[name]).join(' ')} ${bucketBoundsMs[at] ?? 'inf'}`
        if (value > 0) seen.set(place, value)
      }
    }
  }
  spread('duration', totals.duration(), ['class', 'outcome'])
  spread('first', totals.firstByte(), ['class', 'outcome'])
  spread('up', totals.upstreamDuration(), ['upstream'])
  for (const { labels, sum } of totals.duration()) {
    const { class: requestClass, outcome } = labels
    const key = `duration ${requestClass} ${outcome} sum`
    expect(sum * 1000).toBeCloseTo(naive.get(key) ?? 0, 3)
    naive.delete(key)
  }
  for (const { labels, value } of totals.upstreamRequests()) {
    const { upstream, code } = labels
    seen.set(`upstream ${upstream} ${code}`, value)
  }
  for (const { labels, value } of totals.upstreamErrors()) {
    const { upstream, reason } = labels
    if (value > 0) seen.set(`error ${upstream} ${reason}`, value)
  }
  seen.set('bytes', totals.scalar('downstreamBytes'))
  expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(naive))
})

test('nothing is exported of what was not asked for, but every upstream error is there from the start', () => {
  const sab = createCountersMemory(1)
  const totals = sumCounters([sab], ['a.example'])
  expect(totals.requests()).toEqual([])
  expect(totals.duration()).toEqual([])
  expect(totals.upstreamRequests()).toEqual([])
  expect(totals.ratelimitRemaining()).toEqual([])
  expect(totals.upstreamErrors().map(({ labels: { reason } }) => reason)).toEqual([...upstreamErrorReasons])
})

test('the newest word of a rate limit wins, from whichever thread and index of the host', () => {
  const hosts = ['a.example', 'b.example', 'a.example']
  const memories = [createCountersMemory(3), createCountersMemory(3)]
  const [first, second] = memories.map((sab) => createProxyCounters({ sab, upstreams: 3 }))
  first?.setRatelimitRemaining(0, 5, 1_000)
  second?.setRatelimitRemaining(2, 100, 3_000)
  first?.setRatelimitRemaining(2, 4, 2_000)
  second?.setRatelimitRemaining(-1, 9, 9_000)
  expect(sumCounters(memories, hosts).ratelimitRemaining()).toEqual([
    { labels: { upstream: 'a.example' }, value: 100 },
  ])
})

test('connections of a thread that died are not counted after another took its memory over', () => {
  const sab = createCountersMemory(0)
  const dead = createProxyCounters({ sab, upstreams: 0 })
  dead.connectionOpened()
  dead.connectionOpened()
  dead.countAbort()
  const next = createProxyCounters({ sab, upstreams: 0 })
  next.connectionOpened()
  next.connectionOpened()
  next.connectionClosed()
  next.countUntrustedForwarded()
  next.addBytes(12)
  const totals = sumCounters([sab], [])
  expect(totals.scalar('connections')).toBe(1)
  expect(totals.scalar('downstreamAborts')).toBe(1)
  expect(totals.scalar('untrustedForwarded')).toBe(1)
  expect(totals.scalar('downstreamBytes')).toBe(12)
})

test('a memory of another size is refused', () => {
  expect(() => createProxyCounters({ sab: createCountersMemory(1), upstreams: 2 })).toThrow(RangeError)
})

test('another thread reads what one thread writes, and never sees a count go back', async () => {
  const sab = createCountersMemory(1)
  const worker = new Worker(
    `import { workerData } from 'node:worker_threads'
     const { createProxyCounters } = await import(workerData.module)
     const counters = createProxyCounters({ sab: workerData.sab, upstreams: 1 })
     for (let i = 0; i < 200000; i += 1) counters.countRequest('blob', 'relay', 200, 3, 1, 10)`,
    { eval: true, workerData: { sab, module: new URL('./counters.ts', import.meta.url).href } },
  )
  let last = 0
  let running = true
  worker.once('exit', () => {
    running = false
  })
  while (running) {
    const now = sumCounters([sab], ['a.example']).scalar('downstreamBytes')
    expect(now).toBeGreaterThanOrEqual(last)
    expect(now % 10).toBe(0)
    last = now
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(sumCounters([sab], ['a.example']).requests()).toEqual([
    { labels: { class: 'blob', outcome: 'relay', code: '200' }, value: 200_000 },
  ])
})
