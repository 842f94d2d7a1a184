/** A real Redis Cluster of three masters on free ports, without replicas. */
import { Redis } from 'ioredis'
import { freePort, run } from './processes.ts'
import { type RedisServer, startRedis } from './redis.ts'

export type RedisCluster = {
  /** Of its first node. */
  url: string
  nodes: readonly RedisServer[]
  stop(): Promise<void>
}

const masters = 3
const waitMs = 30_000

export async function startRedisCluster(): Promise<RedisCluster> {
  const nodes = await Promise.all(
    Array.from({ length: masters }, async () => {
      const bus = ['--cluster-port', String(await freePort())]
      return startRedis({
        args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', ...bus],
      })
    }),
  )
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()))
  }
  try {
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)
    const made = await run(
      'redis-cli',
      ['--cluster', 'create', ...addresses, '--cluster-replicas', '0', '--cluster-yes'],
      { timeoutMs: waitMs },
    )
    if (made.code !== 0) throw new Error(`no cluster was made:\n${made.stdout}${made.stderr}`)
    for (const { url } of nodes) await waitUntilWhole(url)
  } catch (error) {
    await stop()
    throw error
  }
  return { url: (nodes[0] as RedisServer).url, nodes, stop }
}

/** Each node has to hear of all slots by itself. */
async function waitUntilWhole(url: string): Promise<void> {
  const redis = new Redis(url)
  try {
    const until = performance.now() + waitMs
    while (!String(await redis.cluster('INFO')).includes('cluster_state:ok')) {
      if (performance.now() > until) throw new Error('the cluster does not come up')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  } finally {
    redis.disconnect()
  }
}
