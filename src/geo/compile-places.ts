/** Makes the table of places of two city files, one for each family: country, region and city, nothing finer. */
import { readFile } from 'node:fs/promises'
import { Reader, type Response } from 'maxmind'
import { walkTree } from './mmdb-tree.ts'
import { createTableBuilder } from './range-builder.ts'

function textOf(record: unknown): string {
  if (typeof record !== 'object' || record === null) return ''
  const { country_code: country, state1: region, city } = record as Record<string, unknown>
  const clean = (value: unknown) =>
    typeof value === 'string' ? value.replace(/[\t\r\n]/g, ' ').slice(0, 128) : ''
  if (typeof country !== 'string' || !/^[A-Z]{2}$/.test(country)) return ''
  // DB-IP puts the district in parentheses: finer than a city, so it goes.
  const fields = [country, clean(region), clean(city).replace(/ ?\(.*\)$/, '')]
  return fields.join('\t').replace(/\t+$/, '')
}

/** `progress`: 0 to 1. */
export async function compilePlaces(
  paths: { ipv4: string; ipv6: string },
  progress: (part: number) => void,
): Promise<Uint8Array> {
  const four = await open(paths.ipv4)
  const builder = createTableBuilder({ kind: 'place', builtMs: four.builtMs, source: 'DB-IP City Lite' }, 48)
  let steps = 0
  const walk = (file: Awaited<ReturnType<typeof open>>, part: number) => {
    const rows = new Map<number, number>()
    const rowOf = (pointer: number, address: () => string): number => {
      let row = rows.get(pointer)
      if (row === undefined) {
        row = builder.rowOf(textOf(file.reader.get(address())))
        rows.set(pointer, row)
      }
      return row
    }
    const visitor = {
      ipv4(start: number, bits: number, pointer: number) {
        const address = () => [24, 16, 8, 0].map((shift) => (start >>> shift) & 0xff).join('.')
        builder.addIpv4(start, start + 2 ** (32 - bits), rowOf(pointer, address))
      },
      ipv6(high: number, low: number, bits: number, pointer: number) {
        const address = () =>
          [high >>> 16, high & 0xffff, low >>> 16, low & 0xffff].map((group) => group.toString(16)).join(':')
        const start = (BigInt(high) << 32n) | BigInt(low)
        builder.addIpv6(
          start,
          start + (1n << BigInt(64 - bits)),
          rowOf(pointer, () => `${address()}::`),
        )
      },
    }
    const { nodeCount, recordSize, ipVersion } = file.reader.metadata
    for (const _ of walkTree(file.bytes, { nodeCount, recordSize, ipVersion }, visitor)) {
      if (++steps % 64 === 0) progress(part)
    }
  }
  walk(four, 0.3)
  walk(await open(paths.ipv6), 0.6)
  const bytes = builder.encode()
  progress(1)
  return bytes
}

async function open(path: string) {
  const bytes = await readFile(path)
  const reader = new Reader<Response>(bytes)
  return { bytes, reader, builtMs: reader.metadata.buildEpoch.getTime() }
}
