/**
 * Loads configs in tests, from files that exist only here.
 */
import { type Loaded, type LoadOptions, loadConfig } from './load-config.ts'
import type { Config } from './types.ts'

export type Case = {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The text of `/etc/waybill.yaml`, which `--config` then names. */
  readonly yaml?: string
  readonly files?: Readonly<Record<string, string>>
}

export const nowMs = Date.parse('2026-06-01T00:00:00Z')

export function surroundingsOf(files: Readonly<Record<string, string>>): Omit<LoadOptions, 'argv' | 'env'> {
  return {
    cpuCount: 8,
    cwd: '/home/waybill',
    nowMs,
    readFile: (path) => {
      const text = files[path]
      if (text === undefined) throw Object.assign(new Error('not there'), { code: 'ENOENT' })
      return Buffer.from(text, 'latin1')
    },
  }
}

export function load({ args = [], env = {}, yaml, files = {} }: Case): Loaded {
  const all = yaml === undefined ? files : { ...files, '/etc/waybill.yaml': yaml }
  const argv = yaml === undefined ? args : ['--config', '/etc/waybill.yaml', ...args]
  return loadConfig({ ...surroundingsOf(all), argv, env })
}

export function problemsOf(given: Case): string[] {
  const loaded = load(given)
  return loaded.ok ? [] : loaded.problems
}

export function configOf(given: Case): Config {
  const loaded = load(given)
  if (!loaded.ok) throw new Error(`refused:\n${loaded.problems.join('\n')}`)
  return loaded.config
}
