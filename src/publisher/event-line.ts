/**
 * A package event as one line for a person at a terminal.
 */
import type { PackageEvent } from '../record/events.ts'

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** Decimal units with three figures, as Docker prints sizes: `3.42 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  // 999.5 would print as 1000: the next unit says it in three figures.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : Number(value.toPrecision(3))} ${units[unit]}`
}

/** Names come from clients: whatever could steer a terminal is shown as `?`. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?')
}

function formatImage({ domain, repository, tag, digest }: PackageEvent): string {
  const name = domain === null ? repository : `${domain}/${repository}`
  if (tag !== null) return `${name}:${tag}`
  // Twelve digits are what people know an image by.
  return digest === null ? name : `${name}@${digest.replace(/^([^:]*:.{12}).*$/, '$1')}`
}

export function formatEventLine(event: PackageEvent): string {
  const { client, geo, type, kind } = event
  const tool =
    client.tool === null ? '-' : `${client.tool}${client.version === null ? '' : ` ${client.version}`}`
  return [
    event.ended_at,
    (type === kind ? type : `${type} ${kind}`).padEnd(18),
    printable(formatImage(event)),
    event.platform === null ? '-' : printable(event.platform),
    printable(tool),
    geo.country ?? '-',
    formatBytes(event.bytes_sent),
    ...(event.fail_reason === null ? [] : [printable(event.fail_reason)]),
  ].join('  ')
}
