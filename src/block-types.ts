/**
 * Which ranges are in networks of a type that is refused (`block.types`), by what an event would say of them.
 */
import type { GeoDatabase, GeoDatabases } from './workers/geo-database.ts'

export type Span<Key extends number | bigint> = { start: Key; end: Key }
export type Spans = { ipv4: Span<number>[]; ipv6: Span<bigint>[] }

/** Puts the ranges of a database into `into` whose record, or row of a table, `judge` picks. */
export type CollectSpans = (
  database: GeoDatabase,
  into: Spans,
  judge: { record(record: unknown): boolean; row(fields: string[]): boolean },
) => Promise<void>

/** null: it does not say. */
export type TypeReader = {
  record(record: unknown): string | null
  row(fields: string[]): string | null
}

/** What of `spans` none of `holes` covers; both are sorted by their starts. */
export function cutSpans<Key extends number | bigint>(
  spans: readonly Span<Key>[],
  holes: readonly Span<Key>[],
): Span<Key>[] {
  const left: Span<Key>[] = []
  let first = 0
  for (const { start, end } of spans) {
    while (first < holes.length && (holes[first] as Span<Key>).end <= start) first++
    let from = start
    for (let index = first; index < holes.length && from < end; index++) {
      const hole = holes[index] as Span<Key>
      if (hole.start >= end) break
      if (hole.start > from) left.push({ start: from, end: hole.start })
      if (hole.end > from) from = hole.end
    }
    if (from < end) left.push({ start: from, end })
  }
  return left
}

/** Sorted, and without ranges that lie in others or touch them. */
function mergeSpans<Key extends number | bigint>(spans: Span<Key>[]): Span<Key>[] {
  spans.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))
  const merged: Span<Key>[] = []
  for (const span of spans) {
    const last = merged.at(-1)
    if (last && span.start <= last.end) {
      if (span.end > last.end) last.end = span.end
    } else merged.push({ ...span })
  }
  return merged
}

/** The operator's list counts before the clouds' own, that before `geo.company`, that before `geo.asn`. */
export async function findTypedRanges(
  types: readonly string[],
  databases: GeoDatabases,
  readers: Readonly<Record<'overrides' | 'cloud' | 'company' | 'asn', TypeReader>>,
  collect: CollectSpans,
): Promise<Spans> {
  const found: Spans = { ipv4: [], ipv6: [] }
  const covered: Spans = { ipv4: [], ipv6: [] }
  for (const role of ['overrides', 'cloud', 'company', 'asn'] as const) {
    const database = databases[role]
    if (database === null) continue
    const reader = readers[role]
    const gather = async (picks: (type: string) => boolean): Promise<Spans> => {
      const spans: Spans = { ipv4: [], ipv6: [] }
      const judge = (type: string | null): boolean => type !== null && picks(type)
      await collect(database, spans, {
        record: (record) => judge(reader.record(record)),
        row: (fields) => judge(reader.row(fields)),
      })
      return { ipv4: mergeSpans(spans.ipv4), ipv6: mergeSpans(spans.ipv6) }
    }
    const own = await gather((type) => types.includes(type))
    found.ipv4 = found.ipv4.concat(cutSpans(own.ipv4, covered.ipv4))
    found.ipv6 = found.ipv6.concat(cutSpans(own.ipv6, covered.ipv6))
    if (role === 'asn') break
    const said = await gather(() => true)
    covered.ipv4 = mergeSpans([...covered.ipv4, ...said.ipv4])
    covered.ipv6 = mergeSpans([...covered.ipv6, ...said.ipv6])
  }
  return found
}
