/**
 * Parses YAML 1.2 to nodes with lines; syntax errors become one-line problems that quote nothing.
 */
import {
  type Alias,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLMap,
} from 'yaml'

export type YamlDocument =
  | {
      ok: true
      /** null: the document is empty. */
      root: YAMLMap | null
      resolveAlias(alias: Alias): Node | null
      lineOf(node: unknown): number
    }
  | { ok: false; problems: string[] }

/** The parser's words for these quote the file, where a secret without quotes makes such mistakes. */
const wordsByCode: Readonly<Record<string, string>> = {
  BAD_DIRECTIVE: 'a line that starts with "%"',
  BAD_DQ_ESCAPE: 'an escape that does not exist',
  BAD_SCALAR_START: 'text that starts with "@" or "`" and has no quotes',
  IMPOSSIBLE: 'not understood',
  MULTIPLE_DOCS: 'a second document',
  TAG_RESOLVE_FAILED: 'an unknown tag; text that starts with "!" needs quotes',
}

export function parseYaml(name: string, text: string): YamlDocument {
  const lineCounter = new LineCounter()
  let document: ReturnType<typeof parseDocument>
  try {
    // Repeated keys are found by our own walk, which knows their paths.
    document = parseDocument(text, {
      lineCounter,
      prettyErrors: false,
      uniqueKeys: false,
      // 'silent' would pass over a second document, too; nothing is printed here whatever the level.
      logLevel: 'error',
    })
  } catch {
    return { ok: false, problems: [`config: not valid YAML (${name}): nested too deeply`] }
  }
  const lineAt = (offset: number) => Math.max(1, lineCounter.linePos(offset).line)
  const errors = [...document.errors, ...document.warnings]
  if (errors.length > 0) {
    // One mistake is often seen several times; the first on a line tells most.
    const byLine = new Map<number, string>()
    for (const { code, message, pos } of errors.sort((a, b) => a.pos[0] - b.pos[0])) {
      const line = lineAt(pos[0])
      // What follows a colon is text of the file again.
      const words = wordsByCode[code] ?? message.replace(/: .*$/s, '').replace(/\s+/g, ' ')
      if (!byLine.has(line)) byLine.set(line, `config: not valid YAML (${name} line ${line}): ${words}`)
    }
    return { ok: false, problems: [...byLine.values()] }
  }
  const root = document.contents
  const isEmpty = root === null || (isScalar(root) && root.value === null)
  if (!isEmpty && !isMap(root)) {
    return {
      ok: false,
      problems: [`config: no map (${name} line 1): expected settings like "upstream: https://ghcr.io"`],
    }
  }
  return {
    ok: true,
    root: isMap(root) ? root : null,
    resolveAlias: (alias) => alias.resolve(document) ?? null,
    lineOf: (node) => (isNode(node) && node.range ? lineAt(node.range[0]) : 1),
  }
}
