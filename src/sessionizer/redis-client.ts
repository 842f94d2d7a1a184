/** The connection to Redis: options that never hang or run a command twice unseen, and the Lua commands. */
import { readFileSync } from 'node:fs'
import { Cluster, Redis, type RedisOptions } from 'ioredis'

const scripts = [
  'add-facts',
  'add-joins',
  'add-tags',
  'claim',
  'close',
  'close-checks',
  'decide-renewal',
  'pair',
  'put-check',
  'read-hashes',
  'redirect',
  'release',
  'thin-tags',
  'watermark',
] as const
export type ScriptName = (typeof scripts)[number]

export type SessionLog = {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export type RedisConnectionOptions = {
  url: string
  cluster: boolean
  tls: { ca: string | null } | null
  log: SessionLog
  /** Tests only: throws where the connection breaks, or the node dies. */
  beforeCall?(script: ScriptName): void
}

export type RedisConnection = {
  client: Redis | Cluster
  /** Runs a Lua command; replies come as Buffers, integers as numbers. */
  run(
    name: ScriptName,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown>
  /** false: not connected within the time. */
  ready(timeoutMs: number): Promise<boolean>
  close(): void
}

/** Commands fail at once while there is no connection: the log holds what was not taken. */
export function connectRedis(options: RedisConnectionOptions): RedisConnection {
  const client = options.cluster ? connectCluster(options) : new Redis(options.url, redisOptions(options))
  let isDown = false
  client.on('error', (error: Error & { code?: string }) => {
    if (!isDown) options.log.warn({ reason: error.code ?? error.name }, 'the session store cannot be reached')
    isDown = true
  })
  client.on('ready', () => {
    if (isDown) options.log.info({}, 'the session store can be reached again')
    isDown = false
  })
  for (const name of scripts) {
    client.defineCommand(name, { lua: readFileSync(new URL(`redis/${name}.lua`, import.meta.url), 'utf8') })
  }
  return {
    client,
    async run(name, keys, args) {
      options.beforeCall?.(name)
      // defineCommand adds the methods at run time, each also in a form that answers in Buffers.
      const commands = client as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
      const command = commands[`${name}Buffer`]
      if (command === undefined) throw new Error(`No such script: ${name}`)
      return command.call(client, keys.length, ...keys, ...args)
    },
    ready: (timeoutMs) => waitUntilReady(client, timeoutMs),
    close: () => client.disconnect(),
  }
}

function redisOptions(options: Pick<RedisConnectionOptions, 'tls'>) {
  return {
    protocol: 2 as const, // Every server that speaks Redis answers it the same.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 1,
    commandTimeout: 2000,
    connectTimeout: 5000,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 2000),
    ...(options.tls === null ? {} : { tls: options.tls.ca === null ? {} : { ca: options.tls.ca } }),
  } satisfies RedisOptions
}

function connectCluster(options: RedisConnectionOptions): Cluster {
  const url = new URL(options.url)
  const tls = url.protocol === 'rediss:' && options.tls === null ? { ca: null } : options.tls
  return new Cluster([{ host: url.hostname, port: Number(url.port || 6379) }], {
    enableOfflineQueue: false,
    clusterRetryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 2000),
    redisOptions: {
      ...redisOptions({ tls }),
      ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    },
  })
}

function waitUntilReady(client: Redis | Cluster, timeoutMs: number): Promise<boolean> {
  if (client.status === 'ready') return Promise.resolve(true)
  return new Promise((resolve) => {
    const onReady = () => settle(true)
    const timer = setTimeout(() => settle(false), timeoutMs)
    function settle(value: boolean): void {
      clearTimeout(timer)
      client.off('ready', onReady)
      resolve(value)
    }
    client.on('ready', onReady)
  })
}
