/**
 * Makes the tables of `docs/configuration.md` of the table of settings.
 */
import { configFlag, groupsByKey, isLater, settingsByKey } from './schema.ts'
import { fileVariant, type Group, type Setting } from './setting.ts'

/** A default for people: as text, or what happens without a value. */
export function describeDefault({ default: text, unset }: Setting): string {
  return text ?? unset ?? 'none'
}

/** Columns are padded as the formatter of the project wants them, so that both agree on the file. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [heads, ...rows].map((cells) => cells.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = heads.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)))
  const toLine = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`
  const [head = [], ...body] = lines
  return [toLine(head), toLine(widths.map((width) => '-'.repeat(width))), ...body.map(toLine)].join('\n')
}

function codeOrText(setting: Setting): string {
  return setting.default === undefined ? describeDefault(setting) : `\`${setting.default}\``
}

function flagTable(): string {
  const rows = [...settingsByKey].flatMap(([key, setting]) =>
    setting.flag === undefined
      ? []
      : [
          [
            `\`--${setting.flag} ${placeholderOf(setting)}\``,
            `\`${key}\``,
            `\`${setting.variable}\``,
            codeOrText(setting),
          ],
        ],
  )
  const file = [`\`--${configFlag.flag} FILE\``, '–', `\`${configFlag.variable}\``, 'none']
  return table(['flag', 'key', 'variable', 'default'], [file, ...rows])
}

function keyTable(): string {
  const rows = [...settingsByKey].flatMap(([key, setting]) => {
    if (isLater(key)) return []
    const name = setting.secret === undefined ? `\`${key}\`` : `\`${key}\` or \`${fileVariant(key)}\``
    const members = Object.entries(setting.members ?? {}).map(([member, { help, kind }]) => [
      `\`${key}[].${member}\``,
      help,
      kind.expected,
      'that of `tls`',
    ])
    const expected = setting.list ? `a list; each ${setting.kind.expected}` : setting.kind.expected
    return [[name, setting.help, expected, codeOrText(setting)], ...members]
  })
  return table(['key', 'what it does', 'value', 'default'], rows)
}

function groupTable(): string {
  const rowsOf = (prefix: string, { settings, lists }: Group): string[][] => [
    ...Object.entries(settings).map(([key, setting]) => {
      const name =
        setting.secret === undefined
          ? `\`${prefix}${key}\``
          : `\`${prefix}${key}\` or \`${fileVariant(key)}\``
      return [
        name,
        setting.help,
        setting.kind.expected,
        setting.required ? 'must be given' : codeOrText(setting),
      ]
    }),
    ...Object.entries(lists ?? {}).flatMap(([key, list]) => rowsOf(`${prefix}${key}[].`, list)),
  ]
  return table(
    ['key', 'what it does', 'value', 'default'],
    [...groupsByKey].flatMap(([key, group]) => rowsOf(`${key}[].`, group)),
  )
}

/** `URL`, or `HOST:PORT,…` for a list. */
export function placeholderOf({ kind, list }: Setting): string {
  return list ? `${kind.placeholder},…` : kind.placeholder
}

const parts: Readonly<Record<string, () => string>> = {
  flags: flagTable,
  keys: keyTable,
  domains: groupTable,
}

/** Fills what stands between `<!-- generated: NAME -->` and `<!-- end -->`. */
export function fillReference(markdown: string): string {
  return markdown.replace(/(<!-- generated: (\w+) -->\n)[\s\S]*?(<!-- end -->)/g, (_all, head, name, end) => {
    const make = parts[name]
    if (make === undefined) throw new Error(`docs/configuration.md wants an unknown part: ${name}`)
    return `${head}${make()}\n${end}`
  })
}
