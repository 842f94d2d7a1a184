/**
 * `waybill serve`: builds the parts from the config, wires them, and stops them in order.
 */
import { randomBytes } from 'node:crypto'
import { compileBlock } from './block-ranges.ts'
import { setHeaderLimit } from './config/environment.ts'
import type { Loaded } from './config/load-config.ts'
import type { Config } from './config/types.ts'
import { type DataFolder, openDataFolder, setDatabaseAside } from './data-folder.ts'
import { startGeo } from './geo-databases.ts'
import { createAdminServer, type ServingState } from './ops/admin-server.ts'
import { watchDependencies } from './ops/dependency-watch.ts'
import { readEventLoopLags, watchEventLoop } from './ops/event-loop-watch.ts'
import { createLogger, type Logger } from './ops/logging.ts'
import { createMetrics, type LogState } from './ops/metrics.ts'
import { createRedirectHostList } from './ops/redirect-host-list.ts'
import { createShutdown, type Shutdown } from './ops/shutdown.ts'
import { createPipeline } from './pipeline.ts'
import { authority, findPort } from './ports.ts'
import { startKeyring } from './pseudonym-keys.ts'
import { createReloader, type Reloader } from './reload.ts'
import { createSharedMemory, type SharedMemory } from './shared-memory.ts'
import { tablesOf } from './stable-indexes.ts'
import { type SessionThread, StartError, startProxyThreads, startSessionThread } from './threads.ts'
import { createCertificateStore } from './tls-certificates.ts'
import { startTokenKeys } from './token-keys.ts'
import { version } from './version.ts'
import type { GeoDatabases } from './workers/geo-database.ts'

/** Less than the 30 s that Kubernetes gives before it kills. */
const graceMs = 25_000
/** What running downloads get of it; the rest is for the records they leave. */
const downloadsMs = 15_000

export type ServeOptions = {
  config: Config
  warnings: readonly string[]
  /** Reads it again. */
  load(): Loaded
  /** A line for people, on a terminal; null: there is none. */
  printLine: ((line: string) => void) | null
  /** Called with the ways to stop and to reload, as soon as there are. */
  onStarted(shutdown: Shutdown, reloader: Pick<Reloader, 'reload'>): void
}

/** Resolves with the exit code. Throws a StartError when it cannot start. */
export async function serve(options: ServeOptions): Promise<number> {
  const log = createLogger(options.config.logLevel, { thread: 'main' })
  for (const warning of options.warnings) log.warn({}, warning)
  setHeaderLimit(options.config.limits.headerBytes)
  const config = await takePorts(options.config)
  const folder = openDataFolder(config.data, config.node)
  const boot = randomBytes(8).toString('hex')
  const memory = createSharedMemory(config)
  const { dependencies } = memory
  const watch = watchEventLoop({ sab: memory.lag, slot: memory.lagSlots.main })
  const dependencyWatch = watchDependencies({ names: dependencies.used, report: dependencies.report, log })
  const keyring = await startKeyring(config, log)
  let setGeo: (databases: GeoDatabases) => void = () => undefined
  const geo = await startGeo(config, dependencies, (databases) => setGeo(databases), log)
  const certificates = createCertificateStore({ config, folder: config.data, log })
  let tellKeys = (_keys: readonly string[]): void => undefined
  const tokenKeys = await startTokenKeys({ config, folder, log, onKeys: (keys) => tellKeys(keys) })
  let reconnect = (): void => undefined
  const sessions = await startSessions(options, config, folder, memory, log, () => reconnect())
  const pipeline = await createPipeline({
    ...{ config, folder, boot, memory, geo: geo.current(), sessions, log },
    keyring: keyring.memory,
  })
  reconnect = pipeline.reconnect

  let serving: { state: ServingState; since: string } = { state: 'starting', since: new Date().toISOString() }
  const enter = (state: ServingState): void => {
    serving = { state, since: new Date().toISOString() }
  }
  const upstreamHosts = config.upstreams.map(({ host }) => host)
  const metrics = createMetrics({
    proxies: memory.proxyCounters,
    upstreams: () => upstreamHosts,
    shared: memory.counters,
    rings: pipeline.rings,
    log: pipeline.log,
    workers: pipeline.workers,
    dependencies,
    lag: () => readEventLoopLags({ sab: memory.lag, threads: memory.threads }),
    build: { version, node: process.versions.node },
    geo: geo.ages,
    tls: certificates.ends,
  })
  let threadIds: readonly (number | null)[] = []
  const redirectHosts = createRedirectHostList(upstreamHosts)
  const admin = await createAdminServer({
    ...config.admin,
    metrics: metrics.render,
    metricsType: metrics.contentType,
    readiness: () => ({
      ...serving,
      dependencies: Object.fromEntries(dependencies.used().map((name) => [name, dependencies.report(name)])),
      sections: {
        listeners: config.listen.map(({ host, port, tls }) => ({ host, port, tls: tls !== null })),
        certificates: { unusable: certificates.problems() },
        redirect_hosts: redirectHosts.describe(),
        log: describeLog(pipeline.log()),
        geo: geo.report(),
        pseudonym_keys: keyring.describe(),
        threads: Object.fromEntries(threadIds.map((id, number) => [`proxy-${number}`, id])),
      },
    }),
    log,
  })
  const block = await compileBlock(config.block, geo.current())
  const proxies = await startProxyThreads({
    data: memory.rings.map(({ number, sab }, index) => ({
      config,
      certificates: certificates.current(),
      upstreamRoom: memory.upstreamRoom,
      number,
      tokenKeys: tokenKeys.keys(),
      ring: sab,
      counters: memory.proxyCounters[index] as SharedArrayBuffer,
      told: { sab: memory.told, row: number },
      lag: { sab: memory.lag, slot: memory.lagSlots.firstProxy + number },
      dependencies: { names: dependencies.names, sab: dependencies.sab },
      block,
    })),
    onManifest: pipeline.keepManifest,
    onRedirectHost: redirectHosts.see,
    log,
  })
  threadIds = proxies.ids
  setGeo = (databases) => {
    pipeline.setGeo(databases)
    compileBlock(config.block, databases).then(proxies.setBlock, (error: unknown) =>
      log.error({ err: error }, 'who is blocked could not be told anew'),
    )
  }
  // What changed while everything started.
  setGeo(geo.current())
  const reloader = createReloader({
    config: options.config,
    load: options.load,
    tables: tablesOf(config),
    upstreamRoom: memory.upstreamRoom,
    certificates,
    proxies,
    prepare(tables) {
      pipeline.setNames(tables)
      upstreamHosts.splice(0, upstreamHosts.length, ...tables.upstreams.map(({ host }) => host))
      for (const host of upstreamHosts) dependencies.add(`upstream:${host}`)
      const used = new Set(tables.active.upstreams.map((index) => upstreamHosts[index]))
      dependencies.retire(upstreamHosts.filter((host) => !used.has(host)).map((host) => `upstream:${host}`))
    },
    count: (result) => memory.counters.add('waybill_config_reloads_total', [result]),
    log,
  })
  tellKeys = proxies.setTokenKeys
  tellKeys(tokenKeys.keys())
  enter('serving')
  const urls = config.listen.map(
    ({ host, port, tls }) => `${tls ? 'https' : 'http'}://${authority(host, port)}`,
  )
  if (options.printLine) {
    const behind = config.upstreams.map(({ host }) => host).join(', ')
    options.printLine(
      `waybill ${version} serves ${behind} on ${urls.join(', ')} ` +
        `(metrics and health: http://${authority(admin.host, admin.port)})`,
    )
  } else {
    const place = { listen: urls, admin: authority(admin.host, admin.port) }
    log.info({ version, node: folder.node, ...place }, 'serving')
  }

  const shutdown = createShutdown({
    graceMs,
    log,
    exit: () => undefined,
    steps: [
      {
        name: 'downloads',
        async run(deadlineMs, hurry) {
          enter('stopping')
          reloader.close()
          // Those that are cut off leave their records, so the end of the threads is waited for all the same.
          hurry.addEventListener('abort', proxies.hurry, { once: true })
          await proxies.stop(Math.min(deadlineMs, downloadsMs))
        },
      },
      {
        name: 'rings',
        run: async (deadlineMs) => warnUnless(log, await pipeline.drain(deadlineMs), notSafe),
      },
      {
        name: 'deliveries',
        run: async (deadlineMs) => warnUnless(log, await pipeline.stop(deadlineMs * 0.8), notDelivered),
      },
      { name: 'sessions', run: () => sessions.stop() },
      {
        name: 'rest',
        async run() {
          await admin.close()
          watch.close()
          dependencyWatch.close()
          geo.close()
          keyring.close()
          certificates.close()
          tokenKeys.close()
          folder.release()
        },
      },
    ],
  })
  options.onStarted(shutdown, reloader)
  return shutdown.done
}

function describeLog({ bytes, targets }: LogState) {
  return {
    bytes,
    targets: Object.fromEntries(
      targets.map(({ target, undelivered, oldestMs }) => [target, { undelivered, oldest_ms: oldestMs }]),
    ),
  }
}

const notSafe = 'records in memory did not become safe in time and are lost'
const notDelivered = 'not everything was delivered: it stays in the log for the next start'

function warnUnless(log: Logger, fine: boolean, message: string): void {
  if (!fine) log.warn({}, message)
}

/** Every port is free and known: a 0 has become a number. */
async function takePorts(config: Config): Promise<Config> {
  const take = async (key: string, host: string, port: number): Promise<number> => {
    try {
      return await findPort(host, port)
    } catch (error) {
      const { code = 'failed' } = error as NodeJS.ErrnoException
      const why = code === 'EADDRINUSE' ? 'the port is in use' : `cannot listen there (${code})`
      throw new StartError(`${key}: ${authority(host, port)}: ${why}`)
    }
  }
  const listen = []
  for (const listener of config.listen) {
    listen.push({ ...listener, port: await take('listen', listener.host, listener.port) })
  }
  const admin = { ...config.admin, port: await take('admin', config.admin.host, config.admin.port) }
  return { ...config, listen, admin }
}

async function startSessions(
  { printLine }: ServeOptions,
  config: Config,
  folder: DataFolder,
  memory: SharedMemory,
  log: Logger,
  onReplaced: () => void,
): Promise<SessionThread> {
  const start = (): Promise<SessionThread> =>
    startSessionThread({
      data: {
        config,
        node: folder.node,
        databasePath: folder.database,
        counters: memory.counters.sab,
        dependencies: { names: memory.dependencies.names, sab: memory.dependencies.sab },
        lag: { sab: memory.lag, slot: memory.lagSlots.session },
        lines: printLine !== null,
      },
      onLines: (lines) => {
        for (const line of lines) printLine?.(line)
      },
      onReplaced,
      log,
    })
  try {
    return await start()
  } catch (error) {
    if (!(error instanceof StartError && /damaged|malformed|not a database/.test(error.message))) throw error
    const aside = setDatabaseAside(folder.database, Date.now())
    log.error(
      { reason: error.message, aside },
      'the database was damaged and has been set aside; a new one is begun',
    )
    return await start()
  }
}
