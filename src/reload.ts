/**
 * Takes another config while requests are served, or refuses it as a whole; and hands new certificates to the threads.
 */
import type { Config } from './config/types.ts'
import { findFixedChanges } from './fixed-settings.ts'
import type { Logger } from './ops/logging.ts'
import { growTables, type Tables } from './stable-indexes.ts'
import type { ProxyThreads } from './threads.ts'
import type { CertificateStore } from './tls-certificates.ts'

export type Reloader = {
  /** Reads the config again; one after another. Never rejects. */
  reload(): Promise<void>
  close(): void
}

type Loaded = { ok: true; config: Config; warnings: string[] } | { ok: false; problems: string[] }

/** Certificates are renewed days before they end; so soon a reader of the docs sees that it works. */
const lookEveryMs = 2000

export function createReloader(options: {
  /** As it was read at the start. */
  config: Config
  load(): Loaded
  tables: Tables
  upstreamRoom: number
  certificates: CertificateStore
  proxies: Pick<ProxyThreads, 'update'>
  /** Called before any proxy thread learns of the tables. */
  prepare(tables: Tables): void
  count(result: 'ok' | 'refused' | 'failed'): void
  log: Pick<Logger, 'info' | 'warn' | 'error'>
}): Reloader {
  const { certificates, log } = options
  let { tables } = options
  let running: Promise<void> = Promise.resolve()

  const refuse = (problems: readonly string[]): void => {
    options.count('refused')
    for (const problem of problems) log.error({ problem }, 'the config was not reloaded: the old one stays')
  }

  const apply = async (): Promise<void> => {
    const loaded = options.load()
    if (!loaded.ok) return refuse(loaded.problems)
    const fixed = findFixedChanges(options.config, loaded.config)
    if (fixed.length > 0) return refuse(fixed.map((key) => `${key}: cannot change before the next start`))
    const grown = growTables(tables, loaded.config, options.upstreamRoom)
    if (grown === null) return refuse(['upstream: too many of them since the start'])
    for (const warning of loaded.warnings) log.warn({}, warning)
    tables = grown
    options.prepare(tables)
    const { redirectHosts, trustedProxies, streamRanges, domains } = loaded.config
    certificates.use({ listen: options.config.listen, domains })
    certificates.look()
    const errors = await options.proxies.update({
      update: { ...tables, redirectHosts, trustedProxies, streamRanges },
      certificates: certificates.current(),
    })
    certificates.release()
    options.count(errors.length === 0 ? 'ok' : 'failed')
    for (const error of errors) log.error({ error }, 'a thread could not take the config')
    if (errors.length === 0) log.info({ domains: domains.length }, 'the config was reloaded')
  }

  const renew = async (): Promise<void> => {
    if (!certificates.look()) return
    const errors = await options.proxies.update({ update: null, certificates: certificates.current() })
    certificates.release()
    for (const error of errors) log.error({ error }, 'a thread could not take a certificate')
  }

  const inTurn = (job: () => Promise<void>): Promise<void> => {
    running = running.then(job).catch((error) => {
      log.error({ err: error }, 'a reload failed')
    })
    return running
  }
  const timer = setInterval(() => void inTurn(renew), lookEveryMs)
  timer.unref()
  return {
    reload: () => inTurn(apply),
    close: () => clearInterval(timer),
  }
}
