/**
 * Reads settings from the YAML config file, each with the line it stands on.
 */
import { resolve } from 'node:path'
import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from 'yaml'
import { type ReadFile, tryReadSecret } from './files.ts'
import {
  createReading,
  type Found,
  type GroupReading,
  nameKey,
  problem,
  type Reading,
  readValue,
  type Source,
  show,
} from './findings.ts'
import { groupsByKey, isLater, settingsByKey } from './schema.ts'
import { fileVariant, type Group, type Setting } from './setting.ts'
import { suggest } from './suggestion.ts'
import { parseYaml, type YamlDocument } from './yaml-document.ts'

export type YamlFile = {
  /** As the user gave it: it is what messages name. */
  readonly name: string
  /** Absolute folder of the file: relative paths in it start there. */
  readonly dir: string
  readonly text: string
}

type Walk = {
  readonly file: YamlFile
  readonly readFile: ReadFile
  readonly document: Extract<YamlDocument, { ok: true }>
  /** Settings by full key; the walk never goes deeper than these. */
  readonly table: ReadonlyMap<string, Setting>
  /** Lists of maps by full key. */
  readonly lists: ReadonlyMap<string, Group>
  readonly reading: Reading
}

/** A value with its full key and its place. */
type Item = { readonly key: string; readonly node: unknown; readonly source: Source }

export function readYamlFile(file: YamlFile, readFile: ReadFile): Reading {
  const reading = createReading()
  const document = parseYaml(file.name, file.text)
  if (!document.ok) return { ...reading, problems: document.problems }
  if (document.root !== null) {
    const walk = { file, readFile, document, table: settingsByKey, lists: groupsByKey, reading }
    readMap(walk, document.root, '')
  }
  return reading
}

function sourceOf({ file, document }: Walk, node: unknown): Source {
  return { name: `${file.name} line ${document.lineOf(node)}`, dir: file.dir }
}

/** An alias is read as what it stands for. */
function follow({ document }: Walk, node: unknown): unknown {
  return isAlias(node) ? document.resolveAlias(node) : node
}

function readMap(walk: Walk, map: YAMLMap, prefix: string): void {
  const firstLines = new Map<string, number>()
  for (const pair of map.items) {
    const source = sourceOf(walk, pair.key)
    const name = textOf(follow(walk, pair.key))
    if (name === undefined) {
      walk.reading.problems.push(
        problem(`${prefix}?`, 'a key that is no text', source, 'expected the name of a setting'),
      )
      continue
    }
    const key = `${prefix}${name}`
    const first = firstLines.get(name)
    if (first !== undefined) {
      walk.reading.problems.push(problem(nameKey(key), 'given twice', source, `first on line ${first}`))
      continue
    }
    firstLines.set(name, walk.document.lineOf(pair.key))
    readPair(walk, pair, key, source)
  }
}

function readPair(walk: Walk, pair: Pair, key: string, source: Source): void {
  const { table, reading } = walk
  const item = { key, node: follow(walk, pair.value), source }
  const setting = table.get(key)
  const below = namesBelow(table, `${key}.`)
  const list = walk.lists.get(key)
  if (isLater(key)) {
    reading.problems.push(problem(key, 'not yet', source, `${key} comes in a later version`))
  } else if (list !== undefined) {
    readGroups(walk, list, item)
  } else if (below.length > 0 && isMap(item.node)) {
    // A key that is a switch and a group, like `redis.tls`: the group says on.
    if (setting !== undefined && claim(walk, key, source)) {
      reading.found.set(key, [{ key, value: true, shown: 'a map', source }])
    }
    readMap(walk, item.node, `${key}.`)
  } else if (setting !== undefined) {
    readSetting(walk, setting, item)
  } else if (below.length > 0) {
    // A group whose members are all commented out is empty, not wrong.
    if (isNull(item.node)) return
    reading.problems.push(problem(key, describe(item.node), source, `expected a map of ${below.join(', ')}`))
  } else {
    const owner = key.endsWith('File') ? key.slice(0, -'File'.length) : key
    const secret = table.get(owner)
    if (secret?.secret && owner !== key) readSecretFile(walk, secret, owner, item)
    else reading.problems.push(problem(nameKey(key), 'unknown key', source, describeNear(walk, key)))
  }
}

/** Takes note that the key is given; false: it already was, by its other name (`…File`). */
function claim({ reading }: Walk, key: string, source: Source): boolean {
  if (reading.given.has(key)) {
    reading.problems.push(
      problem(key, 'given twice', source, `expected ${key} or ${fileVariant(key)}, not both`),
    )
    return false
  }
  reading.given.add(key)
  return true
}

function readSetting(walk: Walk, setting: Setting, item: Item): void {
  const { key, node, source } = item
  if (!claim(walk, key, source)) return
  const items = !(setting.list && isSeq(node))
    ? [item]
    : node.items.map((member, index) => ({
        key: `${key}[${index}]`,
        node: follow(walk, member),
        source: sourceOf(walk, member),
      }))
  // An empty list says "none", which has no meaning for addresses to listen on or to connect to.
  if (items.length === 0 && setting.needsOne) {
    walk.reading.problems.push(problem(key, 'an empty list', source, `expected ${setting.kind.expected}`))
    return
  }
  const found = items.map((one) =>
    setting.members && isMap(one.node)
      ? readMember(walk, setting, one.key, one.node, one.source)
      : readScalar(walk, setting, one),
  )
  if (found.every((one) => one !== undefined)) walk.reading.found.set(key, found)
}

function readScalar(walk: Walk, setting: Setting, { key, node, source }: Item): Found | undefined {
  if (setting.nullable && isNull(node)) return { key, value: null, shown: 'null', source }
  const text = textOf(node)
  const { problems } = walk.reading
  if (text !== undefined) return readValue(setting, { key, text, source }, problems)
  problems.push(problem(key, describe(node), source, `expected ${setting.kind.expected}`))
  return undefined
}

/** A member of a list that is a map: its `address` is the value, the rest goes with it. */
function readMember(
  walk: Walk,
  setting: Setting,
  place: string,
  map: YAMLMap,
  source: Source,
): Found | undefined {
  const { list: _list, members, ...addressSetting } = setting
  const addressKey = `${place}.address`
  const table = new Map<string, Setting>([[addressKey, addressSetting]])
  for (const [name, member] of Object.entries(members ?? {})) table.set(`${place}.${name}`, member)
  const reading = { ...createReading(), problems: walk.reading.problems }
  const problemsBefore = reading.problems.length
  readMap({ ...walk, table, lists: new Map(), reading }, map, `${place}.`)
  const address = reading.found.get(addressKey)?.[0]
  if (!reading.given.has(addressKey)) {
    reading.problems.push(problem(addressKey, 'missing', source, `expected ${setting.kind.expected}`))
  }
  if (address === undefined || reading.problems.length > problemsBefore) return undefined
  const found = [...reading.found].map(([key, [one]]) => [key.slice(place.length + 1), one!] as const)
  return { ...address, members: new Map(found) }
}

function readGroups(walk: Walk, list: Group, { key, node, source }: Item): void {
  const members = isSeq(node) ? node.items.map((member) => ({ member, node: follow(walk, member) })) : []
  const names = [...new Set(Object.keys(list.settings).map((name) => name.split('.')[0]))]
  const expected = `a map of ${[...names, ...Object.keys(list.lists ?? {})].join(', ')}`
  if (members.length === 0) {
    const shown = isSeq(node) ? 'an empty list' : describe(node)
    walk.reading.problems.push(problem(key, shown, source, `expected a list; each ${expected}`))
    return
  }
  const groups = members.flatMap((member, index) => {
    const place = `${key}[${index}]`
    const at = sourceOf(walk, member.member)
    if (isMap(member.node)) return [readGroup(walk, list, place, member.node, at)]
    walk.reading.problems.push(problem(place, describe(member.node), at, `expected ${expected}`))
    return []
  })
  walk.reading.groups.set(key, groups)
}

function readGroup(walk: Walk, list: Group, key: string, map: YAMLMap, source: Source): GroupReading {
  const prefix = `${key}.`
  const within = <T>(all: Readonly<Record<string, T>>) =>
    new Map(Object.entries(all).map(([name, each]) => [prefix + name, each] as const))
  const own = { ...createReading(), problems: walk.reading.problems }
  readMap(
    { ...walk, table: within(list.settings), lists: within(list.lists ?? {}), reading: own },
    map,
    prefix,
  )
  for (const [name, { required, kind }] of Object.entries(list.settings)) {
    if (!required || own.given.has(prefix + name)) continue
    own.problems.push(problem(prefix + name, 'missing', source, `expected ${kind.expected}`))
  }
  const relative = <T>(all: ReadonlyMap<string, T>) =>
    new Map([...all].map(([name, each]) => [name.slice(prefix.length), each] as const))
  const given = new Set([...own.given].map((name) => name.slice(prefix.length)))
  const reading = { ...own, found: relative(own.found), groups: relative(own.groups), given }
  return { key, source, reading }
}

function readSecretFile(walk: Walk, setting: Setting, owner: string, { key, node, source }: Item): void {
  const { reading, file, readFile } = walk
  if (!claim(walk, owner, source)) return
  const path = textOf(node)
  const expected = `expected a file with ${setting.kind.expected}`
  if (path === undefined || path === '') {
    reading.problems.push(problem(key, describe(node), source, expected))
    return
  }
  const content = tryReadSecret(readFile, resolve(file.dir, path))
  if (!content.ok) {
    reading.problems.push(problem(key, show(path), source, `${content.why}; ${expected}`))
    return
  }
  const found = readValue(
    setting,
    { key, text: content.content, source, shown: show(path) },
    reading.problems,
  )
  if (found !== undefined) reading.found.set(owner, [found])
}

/** What a scalar says, as it stands in the file: `012` and `1e3` are no numbers of ours to reshape. */
function textOf(node: unknown): string | undefined {
  if (!isScalar(node) || isNull(node)) return undefined
  if (typeof node.value === 'string') return node.value
  const isPlain = typeof node.value === 'number' || typeof node.value === 'boolean'
  return isPlain && typeof node.source === 'string' ? node.source : undefined
}

function isNull(node: unknown): boolean {
  return node === null || node === undefined || (isScalar(node) && node.value === null)
}

/** Stands for a value that is no text, so that nothing of what it holds is shown. */
function describe(node: unknown): string {
  if (isNull(node)) return 'null'
  if (isMap(node)) return 'a map'
  return isSeq(node) ? 'a list' : show(textOf(node as Node) ?? 'a value with a tag')
}

function namesBelow(table: Walk['table'], prefix: string): string[] {
  const names = new Set<string>()
  for (const [key, { secret }] of table) {
    if (!key.startsWith(prefix) || isLater(key)) continue
    const name = key.slice(prefix.length).split('.')[0]!
    names.add(name)
    if (secret && prefix + name === key) names.add(fileVariant(name))
  }
  return [...names]
}

/** The names beside the unknown one are looked at first, then all: a known key may stand in the wrong group. */
function describeNear({ table, lists }: Walk, key: string): string {
  const dot = key.lastIndexOf('.') + 1
  const name = key.slice(dot)
  const prefix = key.slice(0, dot)
  const listNames = [...lists.keys()].filter((list) => list.startsWith(prefix))
  const beside = [...namesBelow(table, prefix), ...listNames.map((list) => list.slice(dot))]
  const sameName = [...table.keys()].find((known) => known.split('.').at(-1) === name)
  const near = suggest(name, beside)
  if (near !== undefined) return `did you mean ${key.slice(0, dot)}${near}?`
  return sameName === undefined ? `expected one of ${beside.join(', ')}` : `did you mean ${sameName}?`
}
