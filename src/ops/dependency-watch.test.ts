/** What the log says of a dependency that fails, comes back, and comes and goes. */
import { expect, test, vi } from 'vitest'
import type { DependencyReport } from './dependencies.ts'
import { watchDependencies } from './dependency-watch.ts'

function createFixture() {
  vi.useFakeTimers()
  const lines: string[] = []
  const reports = new Map<string, DependencyReport['state']>()
  const say =
    (level: string) =>
    (fields: object, message: string): void => {
      const { dependency, why = '' } = fields as { dependency: string; why?: string }
      lines.push(`${level} ${dependency} ${why} ${message}`)
    }
  const watch = watchDependencies({
    names: () => ['redis', 'kafka'],
    report(name) {
      const state = reports.get(name) ?? 'ok'
      return { state, since: '2026-01-01T00:00:00.000Z', why: state === 'ok' ? null : 'connect' }
    },
    log: { info: say('info'), warn: say('warn') },
    now: () => Date.now(),
  })
  const enter = (name: string, state: DependencyReport['state'], forMs: number): void => {
    reports.set(name, state)
    vi.advanceTimersByTime(forMs)
  }
  const close = (): void => {
    watch.close()
    vi.useRealTimers()
  }
  return { lines, enter, close }
}

test('each turn is told once, and only of the one that turned', () => {
  const { lines, enter, close } = createFixture()
  enter('redis', 'ok', 5000)
  enter('redis', 'degraded', 5000)
  enter('redis', 'down', 600_000)
  enter('redis', 'degraded', 5000)
  enter('redis', 'ok', 5000)
  close()
  expect(lines).toEqual([
    'warn redis connect a dependency fails',
    'warn redis connect a dependency is down',
    'info redis  a dependency works again',
  ])
})

test('one that comes and goes for an hour is told of once a minute', () => {
  const { lines, enter, close } = createFixture()
  for (let second = 0; second < 3600; second += 2) {
    enter('kafka', 'degraded', 1000)
    enter('kafka', 'ok', 1000)
  }
  enter('kafka', 'ok', 60_000)
  close()
  expect(lines.filter((line) => line.includes('fails')).length).toBeLessThanOrEqual(61)
  expect(lines.filter((line) => line.includes('again')).length).toBeLessThanOrEqual(61)
  // What it is in the end is not left unsaid.
  expect(lines.at(-1)).toContain('again')
})

test('its last state is told however soon it came', () => {
  const { lines, enter, close } = createFixture()
  enter('redis', 'down', 1000)
  enter('redis', 'ok', 1000)
  enter('redis', 'down', 120_000)
  close()
  expect(lines.at(-1)).toBe('warn redis connect a dependency is down')
})
