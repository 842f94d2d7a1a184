/** Data beside the project that tests read in place: captured traces, databases, lists. */
import { fileURLToPath } from 'node:url'

const folder = new URL('../../../shared/data/', import.meta.url)

/** Path of a file of it, say `maxmind/GeoLite2-City-Test.mmdb`. */
export function sharedData(name: string): string {
  return fileURLToPath(new URL(name, folder))
}
