import { expect, test, vi } from 'vitest'
import { createAggregator } from './log-aggregator.ts'
import { createLogger } from './logging.ts'

function createFixture(level: 'info' | 'debug' = 'info') {
  const lines: string[] = []
  const log = createLogger(level, { thread: 'proxy-0', stream: { write: (line) => void lines.push(line) } })
  return { log, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
}

test('a line is JSON with level, time, thread and message', () => {
  const { log, parsed } = createFixture()
  log.info({ port: 8080 }, 'listening')
  log.debug('not told')
  expect(parsed()).toEqual([
    { level: 'info', time: expect.stringMatching(/Z$/), thread: 'proxy-0', port: 8080, msg: 'listening' },
  ])
})

const secret = Object.assign(new Error('connect ECONNREFUSED 192.0.2.7:6379'), {
  code: 'ECONNREFUSED',
  address: '192.0.2.7',
})

test.each([
  ['a bare error', (log: ReturnType<typeof createFixture>['log']) => log.error(secret)],
  ['a bare error with a message', (log) => log.error(secret, 'redis failed')],
  ['an error as err', (log) => log.error({ err: secret }, 'redis failed')],
  ['an error as error', (log) => log.error({ error: secret }, 'redis failed')],
  ['an error as reason', (log) => log.error({ reason: secret }, 'redis failed')],
  ['an error as cause', (log) => log.error({ cause: secret }, 'redis failed')],
  ['an error of a child', (log) => log.child({ part: 'x' }).warn(secret)],
] as [string, (log: ReturnType<typeof createFixture>['log']) => void][])(
  '%s is told without its address',
  (_, act) => {
    const { log, lines } = createFixture()
    act(log)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('ECONNREFUSED')
    expect(lines[0]).not.toContain('192.0.2')
  },
)

test('a storm of one error is a line at once, one count an interval, and news again after a quiet one', () => {
  const { log, parsed } = createFixture()
  vi.useFakeTimers()
  const aggregator = createAggregator(log, { intervalMs: 1_000 })
  try {
    for (let time = 0; time < 500; time += 1) aggregator.report('redis connect', secret)
    expect(parsed()).toHaveLength(1)
    vi.advanceTimersByTime(1_000)
    expect(parsed().slice(1)).toEqual([
      expect.objectContaining({ level: 'warn', msg: 'redis connect', repeats: 499, interval_ms: 1_000 }),
    ])
    vi.advanceTimersByTime(1_000)
    vi.advanceTimersByTime(1_000)
    expect(parsed()).toHaveLength(2)
    aggregator.report('redis connect', secret, 'error')
    expect(parsed()[2]).toMatchObject({ level: 'error', msg: 'redis connect', err: expect.any(String) })
  } finally {
    vi.useRealTimers()
  }
})

test('close tells what is still counted', () => {
  const { log, parsed } = createFixture()
  const aggregator = createAggregator(log)
  aggregator.report('a')
  aggregator.report('a')
  aggregator.close()
  expect(parsed().map(({ repeats }) => repeats)).toEqual([undefined, 1])
})

test('keys without bound share one line', () => {
  const { log, lines } = createFixture()
  const aggregator = createAggregator(log)
  for (let key = 0; key < 10_000; key += 1) aggregator.report(`key ${key}`)
  expect(lines.length).toBeLessThan(300)
  aggregator.close()
  expect(lines.at(-1)).toContain('"repeats":97')
})
