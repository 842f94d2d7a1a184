import { expect, test, vi } from 'vitest'
import { createAggregator, overflowMessage } from './log-aggregator.ts'
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

test('a storm of one message is a few lines, one count an interval, and news again after it', () => {
  vi.useFakeTimers()
  try {
    const { log, parsed } = createFixture()
    for (let time = 0; time < 500; time += 1) log.warn({ err: secret }, 'redis failed')
    log.error({}, 'the disk is full')
    for (let time = 0; time < 500; time += 1) log.info({}, 'told by ourselves')
    expect(parsed().filter(({ msg }) => msg === 'redis failed')).toHaveLength(10)
    expect(parsed().filter(({ msg }) => msg === 'the disk is full')).toHaveLength(1)
    expect(parsed().filter(({ level }) => level === 'info')).toHaveLength(500)
    const before = parsed().length
    vi.advanceTimersByTime(60_000)
    expect(parsed().slice(before)).toEqual([
      expect.objectContaining({ level: 'warn', msg: 'redis failed', repeats: 490, interval_ms: 60_000 }),
    ])
    vi.advanceTimersByTime(600_000)
    expect(parsed()).toHaveLength(before + 1)
    log.warn({}, 'redis failed')
    expect(parsed()).toHaveLength(before + 2)
  } finally {
    vi.useRealTimers()
  }
})

test('close tells what is still counted', () => {
  const told: unknown[] = []
  const aggregator = createAggregator({ tell: (...line) => void told.push(line) })
  for (let time = 0; time < 12; time += 1) aggregator.tryPass(40, 'a')
  aggregator.close()
  expect(told).toEqual([[40, 'a', { repeats: 2, interval_ms: 60_000 }]])
})

test('messages without bound share one count', () => {
  let lines = 0
  const told: unknown[] = []
  const aggregator = createAggregator({ tell: (...line) => void told.push(line) })
  for (let number = 0; number < 10_000; number += 1)
    if (aggregator.tryPass(50, `message ${number}`)) lines += 1
  aggregator.close()
  expect(lines).toBeLessThan(300)
  expect(told).toEqual([[50, overflowMessage, { repeats: 10_000 - lines, interval_ms: 60_000 }]])
})
