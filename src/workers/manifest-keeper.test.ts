/** A manifest survives the end of a worker and a full disk; one that ends workers, and too many, do not stay. */
import { expect, test } from 'vitest'
import { createManifestKeeper } from './manifest-keeper.ts'

const manifest = { digest: 'sha256:aa', mediaType: 'application/json', bytes: new Uint8Array(2) }
const workerExit = new Error('worker exited with code: 7')

function createFixture(outcomes: (Error | null)[]) {
  const seen = { runs: 0, retries: [] as string[], lines: [] as string[] }
  const keeper = createManifestKeeper({
    run: async () => {
      const outcome = outcomes[Math.min(seen.runs++, outcomes.length - 1)]
      if (outcome) throw outcome
    },
    onRetry: (reason) => void seen.retries.push(reason),
    log: { warn: (_, message) => void seen.lines.push(message) },
    delay: async () => undefined,
  })
  return { keeper, seen }
}

test('the end of a worker is no loss', async () => {
  const { keeper, seen } = createFixture([workerExit, workerExit, null])
  keeper.keep(manifest)
  await expect.poll(() => seen.runs).toBe(3)
  expect(seen).toEqual({ runs: 3, retries: ['worker_exit', 'worker_exit'], lines: [] })
})

test('one that ends every worker is given up, and said so', async () => {
  const { keeper, seen } = createFixture([workerExit])
  keeper.keep(manifest)
  await expect.poll(() => seen.lines).toHaveLength(1)
  expect(seen.runs).toBe(3)
})

test('a disk that is full for a while is waited for, but not for ever', async () => {
  const full = new Error('ENOSPC: no space left on device, write')
  const { keeper, seen } = createFixture([...Array.from({ length: 9 }, () => full), null])
  keeper.keep(manifest)
  await expect.poll(() => seen.runs).toBe(10)
  expect(seen.lines).toEqual([])

  const ever = createFixture([full])
  ever.keeper.keep(manifest)
  await expect.poll(() => ever.seen.lines).toHaveLength(1)
  expect(ever.seen.runs).toBeLessThan(20)
})

test('of thousands that come at once, as after a start, none is lost, and few are in the pool at a time', async () => {
  const lines: string[] = []
  let [running, most, seen] = [0, 0, 0]
  const keeper = createManifestKeeper({
    async run() {
      most = Math.max(most, ++running)
      await new Promise(setImmediate)
      running--
      seen++
    },
    onRetry: () => undefined,
    log: { warn: (_, message) => void lines.push(message) },
  })
  for (let number = 0; number < 5000; number++) keeper.keep(manifest)
  await expect.poll(() => seen, { timeout: 10_000 }).toBe(5000)
  expect(most).toBeLessThan(100)
  expect(lines).toEqual([])
})

test('what waits is bounded, and ends with the keeper', async () => {
  const lines: string[] = []
  const { promise: never } = Promise.withResolvers<void>()
  const keeper = createManifestKeeper({
    run: () => never,
    onRetry: () => undefined,
    log: { warn: (_, message) => void lines.push(message) },
  })
  const large = { ...manifest, bytes: new Uint8Array(8 * 1024 * 1024) }
  for (let number = 0; number < 10; number++) keeper.keep(large)
  expect(lines).toHaveLength(3)

  const { keeper: closed, seen } = createFixture([workerExit])
  closed.close()
  closed.keep(manifest)
  expect(seen).toEqual({ runs: 0, retries: [], lines: [] })
})
