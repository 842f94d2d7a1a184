/**
 * Opens the geo databases of a config: the files it names, else those that `waybill geo install` leaves in the data
 * folder.
 */
import { join } from 'node:path'
import type { Config } from './config/types.ts'
import { installedFiles } from './geo/install-plan.ts'
import type { DependencyStates } from './ops/dependencies.ts'
import { dependencyReason } from './ops/dependency-reasons.ts'
import type { Logger } from './ops/logging.ts'
import { StartError } from './threads.ts'
import { createGeoStore, type GeoSource, type GeoStore } from './workers/geo-store.ts'

function geoSources({ data, geo }: Pick<Config, 'data' | 'geo'>): GeoSource[] {
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

/** A database that cannot be used costs its fields, never the service; a list of the operator's is refused. */
export async function startGeo(
  config: Config,
  dependencies: DependencyStates,
  onChange: Parameters<typeof createGeoStore>[0]['onChange'],
  log: Logger,
): Promise<GeoStore> {
  const geo = await createGeoStore({
    sources: geoSources(config),
    onChange,
    onResult(role, isSound) {
      const name = `geo:${role}`
      if (!dependencies.names.includes(name)) return
      // It is down with the first failure: the store tries again only when the file has changed.
      const circuit = dependencies.circuit(name, { threshold: 1 })
      if (isSound) circuit.succeeded()
      else circuit.failed(dependencyReason('protocol'))
    },
    log,
  })
  const overrides = geo.report().overrides
  if (overrides?.state !== 'failed') return geo
  geo.close()
  throw new StartError(`geo.overrides: ${overrides.file}: ${overrides.why}`)
}
