/**
 * From flags, variables and the config file to the one Config, or to every problem at once.
 */
import { dirname, resolve } from 'node:path'
import { buildConfig, resolveSessions, type Surroundings } from './build-config.ts'
import { tryReadText } from './files.ts'
import { createReading, nameKey, problem, type Reading, type Source, show } from './findings.ts'
import { readFlags, readVariables } from './flags.ts'
import { type SettledValues, settleValues } from './settled-values.ts'
import type { Config } from './types.ts'
import { readYamlFile } from './yaml-file.ts'

export type Loaded = { ok: true; config: Config; warnings: string[] } | { ok: false; problems: string[] }

export type LoadOptions = Surroundings & {
  /** What follows `serve`. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Order: flag, variable, file, default. Problems and warnings are lines to print as they are. */
export function loadConfig(options: LoadOptions): Loaded {
  const values = readSources(options)
  const config = buildConfig(values, options)
  // A source may repeat what another one says of the same value.
  const problems = [...new Set(values.problems)]
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, config: deepFreeze(config), warnings: values.warnings }
}

/** What `serve` would make of a config file alone, without flags and variables. */
export function checkFile(path: string, surroundings: Surroundings): Loaded {
  return loadConfig({ ...surroundings, argv: [`--config=${path}`], env: {} })
}

/** Only the data folder, for commands that read it without serving: other settings may be wrong. */
export function findDataFolder(
  options: LoadOptions,
): { ok: true; data: string } | { ok: false; problems: string[] } {
  const values = readSources(options)
  const problems = values.problems.filter((line) => /^(--)?(data|config)\b/.test(line))
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, data: resolve(values.found('data')?.source.dir ?? options.cwd, values.get('data')) }
}

/** Only what decides which requests are one pull, as `findDataFolder`. */
export function findSessionRules(
  options: LoadOptions,
): { ok: true; sessions: Config['sessions'] } | { ok: false; problems: string[] } {
  const values = readSources(options)
  const sessions = resolveSessions(values)
  const problems = values.problems.filter((line) => /^(--)?(session|config\b)/.test(line))
  return problems.length > 0 ? { ok: false, problems } : { ok: true, sessions }
}

function readSources(options: LoadOptions): SettledValues {
  const flags = readFlags(options.argv, options.cwd)
  const variables = readVariables(options.env, options.cwd)
  const file = flags.config ?? variables.config
  const fileReading = file === null ? createReading() : readFile(file, options)
  return settleValues([flags, variables, fileReading])
}

function readFile({ path, source }: { path: string; source: Source }, options: LoadOptions): Reading {
  const absolute = resolve(options.cwd, path)
  const text = tryReadText(options.readFile, absolute)
  if (!text.ok) {
    return {
      ...createReading(),
      problems: [problem('config', show(path), source, `${text.why}; expected a YAML file`)],
    }
  }
  return readYamlFile({ name: nameKey(path), dir: dirname(absolute), text: text.content }, options.readFile)
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}
