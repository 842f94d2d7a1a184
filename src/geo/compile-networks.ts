/** Makes the table of networks of two CSV files, one for each family: number, name, and whether it is large. */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseAddress } from './address.ts'
import { createTableBuilder } from './range-builder.ts'

/** No company but the few that the table of networks names has so many addresses. */
const largeFrom = 2 ** 18

// start,end,number,name: the name in quotes when it holds a comma or a quote.
const linePattern = /^([^,]+),([^,]+),(\d{1,10}),(?:"((?:[^"]|"")*)"|(.*))$/

type Line = { start: string; end: string; asn: string; name: string }

async function* linesOf(path: string): AsyncGenerator<Line> {
  for await (const text of createInterface({
    input: createReadStream(path),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    const [, start = '', end = '', asn = '', quoted, plain = ''] = linePattern.exec(text) ?? []
    if (asn === '') continue
    const name = (quoted?.replaceAll('""', '"') ?? plain).replace(/[\t\r\n]/g, ' ').slice(0, 128)
    yield { start, end, asn, name }
  }
}

function word(bytes: Uint8Array, from: number): bigint {
  return BigInt(`0x${Buffer.from(bytes.subarray(from, from + 8)).toString('hex')}`)
}

/** `ipv4`: with addresses as numbers; `ipv6`: as text. */
export async function compileNetworks(
  paths: { ipv4: string; ipv6: string },
  builtMs: number,
): Promise<Uint8Array> {
  const sizes = new Map<string, number>()
  for await (const { start, end, asn } of linesOf(paths.ipv4)) {
    sizes.set(asn, (sizes.get(asn) ?? 0) + Number(end) - Number(start) + 1)
  }
  const builder = createTableBuilder({ kind: 'network', builtMs, source: 'RouteViews, DB-IP, NRO' }, 48)
  const rowOf = ({ asn, name }: Line): number => {
    const size = (sizes.get(asn) ?? 0) > largeFrom ? '\tlarge' : ''
    return builder.rowOf(`${asn}\t${name}${size}`)
  }
  for await (const line of linesOf(paths.ipv4)) {
    const [start, end] = [Number(line.start), Number(line.end) + 1]
    if (start >= 0 && end <= 2 ** 32) builder.addIpv4(start, end, rowOf(line))
  }
  for await (const line of linesOf(paths.ipv6)) {
    const start = parseAddress(line.start)
    const end = parseAddress(line.end)
    if (start !== null && end !== null) builder.addIpv6(word(start, 0), word(end, 0) + 1n, rowOf(line))
  }
  return builder.encode()
}
