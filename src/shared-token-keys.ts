/**
 * The keys of the front's own tokens: configured, of all nodes that share a Redis, or of this node alone.
 */
import type { Config } from './config/types.ts'
import type { DataFolder } from './data-folder.ts'
import type { Logger } from './ops/logging.ts'
import { type KeyStore, loadTokenKeys } from './proxy/token-keys.ts'
import { connectRedis } from './sessionizer/redis-client.ts'
import { StartError } from './threads.ts'

const redisWaitMs = 3000

/** Through Redis when there is one, so that every node reads every node's tokens. */
export async function findTokenKeys(config: Config, folder: DataFolder, log: Logger): Promise<string[]> {
  const redis = config.redis && !config.tokenKeys ? connectRedis({ ...config.redis, log }) : null
  const store: KeyStore | null = redis && {
    async setIfAbsent(key, value) {
      await redis.ready(redisWaitMs)
      await redis.client.set(key, value, 'NX')
      return (await redis.client.get(key)) ?? value
    },
  }
  try {
    return await loadTokenKeys({
      configured: config.tokenKeys,
      dataFolder: config.data,
      store,
      warn: (error) =>
        log.warn(
          { err: error },
          "the token key that nodes share was not read from Redis: this node's own is used",
        ),
    })
  } catch (error) {
    folder.release()
    throw new StartError(`data: ${(error as Error).message}`)
  } finally {
    redis?.close()
  }
}
