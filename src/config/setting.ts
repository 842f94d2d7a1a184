/**
 * What the table of settings says of each one.
 */
import type { Kind } from './kinds.ts'

export type Setting = {
  readonly kind: Kind<unknown>
  /** One sentence. */
  readonly help: string
  readonly flag?: string
  readonly variable?: string
  /** As text, read like any other; without it the value is null, or an empty list. */
  readonly default?: string
  /** What happens without a value, where `default` cannot say it. */
  readonly unset?: string
  /** In a flag or variable the values are parted by commas. */
  readonly list?: true
  /** Of a map in a list: it must be there. */
  readonly required?: true
  /** Of a list: it must not be empty. */
  readonly needsOne?: true
  /** `null` in the file turns it off. */
  readonly nullable?: true
  /** `word`: never shown; `url`: shown without user and password. Both may be given as `<key>File`. */
  readonly secret?: 'word' | 'url'
  /** A member of a list may also be a map with `address` and these keys. */
  readonly members?: Readonly<Record<string, Setting>>
}

/** A key that holds a list of maps, each with these settings; `lists`: such keys within them. */
export type Group = {
  /** One sentence. */
  readonly help: string
  readonly settings: Readonly<Record<string, Setting>>
  readonly lists?: Readonly<Record<string, Group>>
}

/** Keeps the exact types of a row, from which those of its value are inferred. */
export function setting<T, const P extends Omit<Setting, 'kind'>>(
  kind: Kind<T>,
  rest: P,
): P & { kind: Kind<T> } {
  return { kind, ...rest }
}

/** `kafka.sasl.password` may be given as `kafka.sasl.passwordFile`. */
export function fileVariant(key: string): string {
  return `${key}File`
}
