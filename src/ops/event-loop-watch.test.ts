import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { createEventLoopMemory, readEventLoopLags, watchEventLoop } from './event-loop-watch.ts'

const threads = ['main', 'proxy-0', 'worker-0']

test('a blocked loop shows in the next interval, an idle one as hardly late', async () => {
  const sab = createEventLoopMemory(threads.length)
  const watch = watchEventLoop({ sab, slot: 0, intervalMs: 100 })
  try {
    expect(readEventLoopLags({ sab, threads }).map(({ thread }) => thread)).toEqual(['main'])
    // Blocks between two timers of the monitor, which needs some to measure from.
    const block = setInterval(() => {
      const until = performance.now() + 300
      while (performance.now() < until);
    }, 50)
    const lag = (): number => readEventLoopLags({ sab, threads, intervalMs: 60_000 })[0]?.lagSeconds ?? 0
    await expect.poll(lag, { timeout: 10_000 }).toBeGreaterThan(0.2)
    clearInterval(block)
    await expect.poll(lag, { timeout: 10_000 }).toBeLessThan(0.1)
  } finally {
    watch.close()
  }
  expect(readEventLoopLags({ sab, threads })).toEqual([])
})

test('a loop that hangs is told of by its silence', async () => {
  const sab = createEventLoopMemory(threads.length)
  const worker = new Worker(
    `import { workerData, parentPort } from 'node:worker_threads'
     const { watchEventLoop } = await import(workerData.module)
     watchEventLoop({ sab: workerData.sab, slot: 1, intervalMs: 50 })
     parentPort.postMessage('hangs')
     Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20000)`,
    { eval: true, workerData: { sab, module: new URL('./event-loop-watch.ts', import.meta.url).href } },
  )
  try {
    await new Promise((resolve) => worker.once('message', resolve))
    const lags = () => readEventLoopLags({ sab, threads, intervalMs: 50 })
    await expect.poll(() => lags()[0]?.lagSeconds ?? 0, { timeout: 10_000 }).toBeGreaterThan(0.3)
    expect(lags().map(({ thread }) => thread)).toEqual(['proxy-0'])
  } finally {
    await worker.terminate()
  }
})
