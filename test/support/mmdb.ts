/** Writes small MaxMind DB files (format 2.0), so that tests have databases of providers who publish none for tests. */
import { parseAddress } from '../../src/geo/address.ts'

export type MmdbValue =
  | string
  | number
  | boolean
  | readonly MmdbValue[]
  | { readonly [key: string]: MmdbValue }
export type MmdbOptions = {
  /** As the provider's file calls itself. */
  databaseType: string
  /** 4: addresses of IPv4 alone. */
  ipVersion?: 4 | 6
  recordSize?: 24 | 28 | 32
  buildEpochMs?: number
  /** What each network is, the wider before the narrower. */
  networks: readonly (readonly [cidr: string, record: MmdbValue])[]
}

type Leaf = { record: MmdbValue }
type Node = { sides: [Tree, Tree]; number: number }
type Tree = Node | Leaf | null

/** "MaxMind DB File Format", data section: three bits of type, five of size, which go on in the bytes behind. */
const types = {
  string: 2,
  double: 3,
  uint16: 5,
  uint32: 6,
  map: 7,
  uint64: 9,
  array: 11,
  boolean: 14,
} as const

function head(type: keyof typeof types, size: number): Buffer {
  const code = types[type]
  const extended = code > 7
  const more = size < 29 ? [] : size < 285 ? [size - 29] : [(size - 285) >> 8, (size - 285) & 0xff]
  const sizeBits = size < 29 ? size : size < 285 ? 29 : 30
  return Buffer.from([((extended ? 0 : code) << 5) | sizeBits, ...(extended ? [code - 7] : []), ...more])
}

function unsigned(type: 'uint16' | 'uint32' | 'uint64', value: number): Buffer {
  const digits = value === 0 ? '' : value.toString(16)
  const bytes = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex')
  return Buffer.concat([head(type, bytes.length), bytes])
}

function encode(value: MmdbValue): Buffer {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value)
    return Buffer.concat([head('string', bytes.length), bytes])
  }
  if (typeof value === 'boolean') return head('boolean', value ? 1 : 0)
  if (typeof value === 'number') {
    if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) return unsigned('uint32', value)
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleBE(value)
    return Buffer.concat([head('double', 8), bytes])
  }
  if (Array.isArray(value)) return Buffer.concat([head('array', value.length), ...value.map(encode)])
  const entries = Object.entries(value)
  return Buffer.concat([
    head('map', entries.length),
    ...entries.flatMap(([key, field]) => [encode(key), encode(field)]),
  ])
}

/** Bits of the network's prefix. Files of both families have IPv4 below 96 zeros. */
function prefixOf(cidr: string, ipVersion: 4 | 6): number[] {
  const [text = '', length = ''] = cidr.split('/')
  const address = parseAddress(text)
  if (address === null) throw new Error(`${cidr} is no network`)
  const isIpv4 = !text.includes(':')
  const bytes = isIpv4 ? address.subarray(12) : address
  const bits = [...bytes].flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((bit) => (byte >> bit) & 1))
  const prefix = bits.slice(0, Number(length))
  return isIpv4 && ipVersion === 6 ? [...new Array<number>(96).fill(0), ...prefix] : prefix
}

const isNode = (tree: Tree): tree is Node => tree !== null && 'sides' in tree

function plant(networks: MmdbOptions['networks'], ipVersion: 4 | 6): Node {
  const root: Node = { sides: [null, null], number: 0 }
  for (const [cidr, record] of networks) {
    const prefix = prefixOf(cidr, ipVersion)
    let node = root
    for (const bit of prefix.slice(0, -1)) {
      const next = node.sides[bit]!
      // What is said of a wider network holds beside the narrower one.
      const inner: Node = isNode(next) ? next : { sides: [next, next], number: 0 }
      node.sides[bit as 0 | 1] = inner
      node = inner
    }
    node.sides[prefix.at(-1) as 0 | 1] = { record }
  }
  return root
}

function writeNode(bytes: Buffer, recordSize: number, number: number, [left, right]: [number, number]): void {
  const at = (number * recordSize) / 4
  if (recordSize === 24) {
    bytes.writeUIntBE(left, at, 3)
    bytes.writeUIntBE(right, at + 3, 3)
  } else if (recordSize === 32) {
    bytes.writeUInt32BE(left, at)
    bytes.writeUInt32BE(right, at + 4)
  } else {
    bytes.writeUIntBE(left & 0xffffff, at, 3)
    bytes.writeUInt8(((left >>> 24) << 4) | (right >>> 24), at + 3)
    bytes.writeUIntBE(right & 0xffffff, at + 4, 3)
  }
}

export function createMmdb(options: MmdbOptions): Buffer {
  const { databaseType, ipVersion = 6, recordSize = 24, buildEpochMs = Date.now(), networks } = options
  const nodes: Node[] = []
  const number = (tree: Tree): void => {
    if (!isNode(tree)) return
    tree.number = nodes.push(tree) - 1
    for (const side of tree.sides) number(side)
  }
  number(plant(networks, ipVersion))

  const records = new Map<MmdbValue, number>()
  const parts: Buffer[] = []
  let size = 0
  const placeOf = (record: MmdbValue): number => {
    let place = records.get(record)
    if (place === undefined) {
      place = size
      records.set(record, place)
      const encoded = encode(record)
      parts.push(encoded)
      size += encoded.length
    }
    return place
  }
  const separatorBytes = 16
  const pointerOf = (tree: Tree): number => {
    if (tree === null) return nodes.length
    return isNode(tree) ? tree.number : nodes.length + separatorBytes + placeOf(tree.record)
  }
  const tree = Buffer.alloc((nodes.length * recordSize) / 4)
  for (const { number, sides } of nodes) {
    writeNode(tree, recordSize, number, [pointerOf(sides[0]), pointerOf(sides[1])])
  }
  const metadata: [string, Buffer][] = [
    ['binary_format_major_version', unsigned('uint16', 2)],
    ['binary_format_minor_version', unsigned('uint16', 0)],
    ['build_epoch', unsigned('uint64', Math.floor(buildEpochMs / 1000))],
    ['database_type', encode(databaseType)],
    ['description', encode({ en: databaseType })],
    ['ip_version', unsigned('uint16', ipVersion)],
    ['languages', encode(['en'])],
    ['node_count', unsigned('uint32', nodes.length)],
    ['record_size', unsigned('uint16', recordSize)],
  ]
  return Buffer.concat([
    tree,
    Buffer.alloc(separatorBytes),
    ...parts,
    Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'),
    head('map', metadata.length),
    ...metadata.flatMap(([key, value]) => [encode(key), value]),
  ])
}
