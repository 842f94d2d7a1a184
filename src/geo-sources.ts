/**
 * Where the geo databases of a config are: the files it names, else those that `waybill geo install` leaves in the
 * data folder.
 */
import { join } from 'node:path'
import type { Config } from './config/types.ts'
import { installedFiles } from './geo/install-plan.ts'
import type { GeoSource } from './workers/geo-store.ts'

export function geoSources({ data, geo }: Pick<Config, 'data' | 'geo'>): GeoSource[] {
  const folder = join(data, 'geo')
  const either = (role: 'city' | 'asn', installed: string): GeoSource => {
    const configured = geo[role]
    return { role, path: configured ?? join(folder, installed), isConfigured: configured !== null }
  }
  return [
    either('city', installedFiles.places),
    either('asn', installedFiles.networks),
    ...(geo.company === null ? [] : [{ role: 'company', path: geo.company, isConfigured: true } as const]),
    ...(geo.overrides === null
      ? []
      : [{ role: 'overrides', path: geo.overrides, isConfigured: true } as const]),
    { role: 'cloud', path: join(folder, installedFiles.clouds), isConfigured: false },
  ]
}
