/** Faults that Waybill refuses to start with. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { FaultRow, Scene } from './fault-rows.ts'
import { freeFlags, startOther, startRefused, startWithSettings } from './fault-scene.ts'
import { freePort, temporaryFolder } from './processes.ts'

function refused(fault: string, problems: readonly string[], arrange: () => Promise<Scene>): FaultRow {
  return {
    fault,
    clients: 'refused',
    exitCode: 2,
    ready: null,
    log: problems.map((problem) => ({ level: 'stderr', msg: `waybill: ${problem}` })),
    metric: null,
    arrange,
  }
}

async function startBesideServer(flag: '--listen' | '--admin'): Promise<Scene> {
  const port = await freePort()
  const server = createServer()
  await new Promise<void>((listening) => void server.listen(port, '127.0.0.1', () => listening()))
  try {
    return { ended: await startRefused(await freeFlags({ [flag]: `127.0.0.1:${port}` })) }
  } finally {
    server.close()
  }
}

async function startBesideWaybill(flag: '--listen' | '--data'): Promise<Scene> {
  const other = await startOther()
  try {
    const value = flag === '--listen' ? other.host : other.data
    return { ended: await startRefused(await freeFlags({ [flag]: value })) }
  } finally {
    await other.stop()
  }
}

export const startRows: readonly FaultRow[] = [
  refused(
    'Mistakes in the config file: a line for each',
    [
      'listen: "nowhere" (…waybill.yaml line 1): expected HOST:PORT, like 127.0.0.1:8080, localhost:8080 or [::1]:8080',
      'upstraem: unknown key (…waybill.yaml line 2): did you mean upstream?',
    ],
    async () => ({ ended: await startWithSettings('listen: nowhere\nupstraem: https://ghcr.io\n') }),
  ),
  refused(
    'A geo database is missing or no such file',
    [
      'geo.city: "…missing.mmdb" (…waybill.yaml line 1): no such file; expected …',
      'geo.asn: "…waybill.yaml" (…waybill.yaml line 1): is no MaxMind database; expected …',
    ],
    async () => {
      const folder = temporaryFolder('config')
      const file = join(folder, 'waybill.yaml')
      writeFileSync(file, `geo: {city: ${join(folder, 'missing.mmdb')}, asn: ${file}}\n`)
      return { ended: await startRefused(['--config', file]) }
    },
  ),
  refused('A flag that does not exist', ['--upstraem: unknown flag: did you mean --upstream?'], async () => ({
    ended: await startRefused(['--upstraem', 'https://ghcr.io']),
  })),
  refused('The traffic port is in use', ['listen: 127.0.0.1:…: the port is in use'], () =>
    startBesideServer('--listen'),
  ),
  refused('The traffic port is that of another Waybill', ['listen: 127.0.0.1:…: the port is in use'], () =>
    startBesideWaybill('--listen'),
  ),
  refused('The admin port is in use', ['admin: 127.0.0.1:…: the port is in use'], () =>
    startBesideServer('--admin'),
  ),
  refused('The data folder is in use', ['data: …: another waybill uses this folder (process …)'], () =>
    startBesideWaybill('--data'),
  ),
  refused('The data folder is not writable', ["data: …: EACCES: permission denied, access '…'"], async () => {
    const data = join(temporaryFolder('data'), 'closed')
    mkdirSync(data)
    chmodSync(data, 0o500)
    // Permissions do not hold for root, but for a root without this capability.
    const asRoot = process.getuid?.() === 0
    const before = asRoot ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--'] : []
    return { ended: await startRefused(await freeFlags({ '--data': data }), before) }
  }),
]
