/**
 * Kinds of values: how the text of a flag, a variable or a YAML scalar becomes a value, and how its
 * shape is told to people and to JSON Schema.
 */

export type JsonSchema = {
  readonly anyOf?: readonly JsonSchema[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly description?: string
  readonly [keyword: string]: unknown
}

/** Every source hands in text, so a value means the same in a flag, a variable and the file. */
export type Kind<T> = {
  /** Stands for the value in help texts and tables. */
  readonly placeholder: string
  /** Completes "expected …". */
  readonly expected: string
  readonly jsonSchema: JsonSchema
  /** undefined: the text is no such value. */
  read(text: string): T | undefined
  /** Says more than "expected …" about a mistake that it knows; only asked after `read` refused. */
  explain?(text: string): string | undefined
}

const msPerUnit: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 }
const bytesPerUnit: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** `500ms`, `2s`, `30m`, `24h`, `7d` in ms; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text)
  return match === null ? undefined : Number(match[1]) * (msPerUnit[match[2]!] ?? 0)
}

/** `4096`, `64KiB`, `5GiB` in bytes; undefined when it is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,15})(B|KiB|MiB|GiB|TiB|)$/.exec(text)
  return match === null ? undefined : Number(match[1]) * (bytesPerUnit[match[2]!] ?? 0)
}

type Bounds = { readonly from: string; readonly to: string }

function within(value: number | undefined, from: number, to: number): number | undefined {
  return value !== undefined && value >= from && value <= to ? value : undefined
}

export function duration({ from, to, off = false }: Bounds & { readonly off?: boolean }): Kind<number> {
  const fromMs = parseDuration(from)!
  const toMs = parseDuration(to)!
  const pattern = '[0-9]{1,12}(ms|s|m|h|d)'
  return {
    placeholder: 'DURATION',
    expected: `a duration from ${from} to ${to}, written like 500ms, 2s, 30m, 24h or 7d${off ? ', or off' : ''}`,
    jsonSchema: { type: 'string', pattern: off ? `^(${pattern}|off)$` : `^${pattern}$` },
    read: (text) => (off && text === 'off' ? 0 : within(parseDuration(text), fromMs, toMs)),
  }
}

export function size({ from, to }: Bounds): Kind<number> {
  const fromBytes = parseSize(from)!
  const toBytes = parseSize(to)!
  return {
    placeholder: 'SIZE',
    expected: `a size from ${from} to ${to}, in bytes or written like 64KiB, 8MiB or 5GiB`,
    jsonSchema: {
      anyOf: [
        { type: 'integer', minimum: fromBytes, maximum: toBytes },
        { type: 'string', pattern: '^[0-9]{1,15}(B|KiB|MiB|GiB|TiB)?$' },
      ],
    },
    read: (text) => within(parseSize(text), fromBytes, toBytes),
  }
}

export function integer(from: number, to: number): Kind<number> {
  return {
    placeholder: 'N',
    expected: `a whole number from ${from} to ${to}`,
    jsonSchema: { type: 'integer', minimum: from, maximum: to },
    read: (text) => (/^\d{1,15}$/.test(text) ? within(Number(text), from, to) : undefined),
  }
}

export const boolean: Kind<boolean> = {
  placeholder: 'on|off',
  expected: 'on, off, true or false',
  jsonSchema: { anyOf: [{ type: 'boolean' }, { enum: ['on', 'off', 'true', 'false'] }] },
  read: (text) => {
    const lower = text.toLowerCase()
    if (lower === 'on' || lower === 'true') return true
    return lower === 'off' || lower === 'false' ? false : undefined
  },
}

export function choice<const T extends string>(values: readonly T[]): Kind<T> {
  return {
    placeholder: values.join('|'),
    expected: joinOr(values),
    jsonSchema: { enum: values },
    read: (text) => values.find((value) => value === text),
  }
}

/** Text that a pattern describes; the same pattern goes into the JSON Schema. */
export function matching(placeholder: string, expected: string, pattern: string): Kind<string> {
  const regex = new RegExp(pattern, 'u')
  return {
    placeholder,
    expected,
    jsonSchema: { type: 'string', pattern },
    read: (text) => (regex.test(text) ? text : undefined),
  }
}

/** A password, a user name: any text but none and no control characters. */
export const word: Kind<string> = {
  placeholder: 'TEXT',
  expected: 'one line of text',
  // A number without quotes is taken by its digits, as it stands in the file.
  jsonSchema: { type: ['string', 'number'] },
  read: (text) => (/^\P{Cc}+$/u.test(text) ? text : undefined),
}

/** Where a path leads, and that it holds what is expected, is looked at by `files.ts`. */
export function path(placeholder: 'FILE' | 'DIR', holds: string): Kind<string> {
  return {
    placeholder,
    expected: holds,
    jsonSchema: { type: 'string', minLength: 1 },
    read: (text) => (/^\P{Cc}+$/u.test(text) ? text : undefined),
  }
}

export function joinOr(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}
