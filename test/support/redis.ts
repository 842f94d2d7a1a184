/** One real Redis on a free port, and a dump of all it holds. */
import { Redis } from 'ioredis'
import { freePort, removeFolder, startProcess, temporaryFolder } from './processes.ts'

export type RedisServer = {
  /** `redis://127.0.0.1:PORT` */
  url: string
  port: number
  pid: number
  stop(): Promise<void>
  /** Ends, stays away until `away` (at once) and starts again on the same port; the data stays only with `persist`. */
  restart(options?: { kill?: boolean; away?: Promise<unknown> }): Promise<void>
  /** Stops the process where it is: connections stay open and nothing answers. */
  pause(): void
  resume(): void
}

/** `persist`: every write is on disk before its answer. `args`: further words of redis-server. */
export async function startRedis(
  options: { persist?: boolean; args?: readonly string[] } = {},
): Promise<RedisServer> {
  const folder = temporaryFolder('redis')
  const port = await freePort()
  const persistence = options.persist ? ['--appendonly', 'yes', '--appendfsync', 'always'] : []
  const start = () =>
    startProcess({
      command: 'redis-server',
      args: [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--daemonize', 'no'],
        ...['--save', '', ...persistence, ...(options.args ?? [])],
      ],
      ready: (text) => text.includes('Ready to accept connections'),
    })
  let server = await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return server.pid
    },
    async stop() {
      await server.stop()
      removeFolder(folder)
    },
    async restart({ kill = false, away } = {}) {
      await server.stop(kill ? 'SIGKILL' : 'SIGTERM')
      await away
      server = await start()
    },
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
  }
}

type Reply = Buffer | string | number | null | Reply[]

// Not DUMP: it compresses, and a search would miss what it holds.
const readCommands: Record<string, (key: Buffer) => [string, ...(Buffer | string)[]]> = {
  string: (key) => ['GET', key],
  hash: (key) => ['HGETALL', key],
  list: (key) => ['LRANGE', key, '0', '-1'],
  set: (key) => ['SMEMBERS', key],
  zset: (key) => ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
  stream: (key) => ['XRANGE', key, '-', '+'],
}

/** Every key and value of every database, one a line, for searches of what must not be there. */
export async function dumpAll(url: string): Promise<Buffer> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1, commandTimeout: 10_000 })
  redis.on('error', () => undefined)
  const parts: Buffer[] = []
  const add = (reply: Reply): void => {
    if (Array.isArray(reply)) for (const part of reply) add(part)
    else if (reply !== null)
      parts.push(Buffer.isBuffer(reply) ? reply : Buffer.from(String(reply)), Buffer.from('\n'))
  }
  try {
    const databases = [...(await redis.info('keyspace')).matchAll(/^db(\d+):/gm)]
    for (const [, database] of databases) {
      await redis.select(Number(database))
      let cursor = '0'
      do {
        const [next, keys] = await redis.scanBuffer(cursor, 'COUNT', 1000)
        for (const key of keys) {
          const type = await redis.type(key)
          const command = readCommands[type]
          // `none`: it expired meanwhile.
          if (!command && type !== 'none') throw new Error(`no way to read a Redis ${type}`)
          add(key)
          if (command) add((await redis.callBuffer(...command(key))) as Reply)
        }
        cursor = next.toString()
      } while (cursor !== '0')
    }
  } finally {
    redis.disconnect()
  }
  return Buffer.concat(parts)
}
