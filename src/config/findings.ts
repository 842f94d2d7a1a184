/**
 * What the sources say: values with the place they came from, and the one-line problems.
 */
import type { Setting } from './setting.ts'

export type Source = {
  /** `--upstream`, `WAYBILL_UPSTREAM`, `waybill.yaml line 3`. */
  readonly name: string
  /** Absolute folder that relative paths start from. */
  readonly dir: string
}

export type Found = {
  /** Dotted, with the index in a list: `listen[1].address`. */
  readonly key: string
  readonly value: unknown
  /** Quoted, on one line, secrets masked. */
  readonly shown: string
  readonly source: Source
  /** Of a list's member that is a map: what else it holds, by the keys of `Setting.members`. */
  readonly members?: ReadonlyMap<string, Found>
}

/** One map of a list of maps; keys in it are relative to its own, which is like `domains[0]`. */
export type GroupReading = { readonly key: string; readonly source: Source; readonly reading: Reading }

export type Reading = {
  /** By key of the table; a setting that is no list has one. */
  readonly found: Map<string, Found[]>
  /** By key of a list of maps. */
  readonly groups: Map<string, readonly GroupReading[]>
  /** Keys that were given at all, also with a wrong value: they are not missing. */
  readonly given: Set<string>
  readonly problems: string[]
}

export function createReading(): Reading {
  return { found: new Map(), groups: new Map(), given: new Set(), problems: [] }
}

/** The line of a problem: key, value, source and what is expected. */
export function problem(key: string, shown: string, source: Source, tail: string): string {
  return `${key}: ${shown} (${source.name}): ${tail}`
}

const maxShownCharacters = 120

/** User name and password of anything like a URL are masked wherever it was put; so are its options. */
function maskCredentials(text: string): string {
  if (/^\.{0,2}\//.test(text)) return text
  const at = text.lastIndexOf('@')
  const start = text.indexOf('://') + 1
  const named = at === -1 ? text : `${text.slice(0, start === 0 ? 0 : start + 2)}***${text.slice(at)}`
  return named.includes('://') ? named.replace(/\?.*$/s, '?***') : named
}

export function show(text: string, secret?: Setting['secret']): string {
  if (secret === 'word') return '"***"'
  const masked = maskCredentials(text)
  const cut = masked.length > maxShownCharacters ? `${masked.slice(0, maxShownCharacters)}…` : masked
  // Control characters, U+2028 and the like would break the line or the terminal.
  return JSON.stringify(cut).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\u{fffd}')
}

/** Keys and flags are shown without quotes, with what could break the line taken out. */
export function nameKey(key: string): string {
  return show(key).slice(1, -1)
}

type Given = {
  readonly key: string
  readonly text: string
  readonly source: Source
  /** Instead of the text itself: the path of the file that it was read from. */
  readonly shown?: string
}

/** Reads one value by its kind; a wrong one becomes a problem. */
export function readValue(setting: Setting, given: Given, problems: string[]): Found | undefined {
  const { key, text, source } = given
  const shown = given.shown ?? show(text, setting.secret)
  const value = setting.kind.read(text)
  if (value !== undefined) return { key, value, shown, source }
  problems.push(problem(key, shown, source, explain(setting, text)))
  return undefined
}

function explain({ kind }: Setting, text: string): string {
  return kind.explain?.(text) ?? `expected ${kind.expected}`
}
