/**
 * Starts the keys of the front's tokens: from the operator's file, shared through Redis, or kept in the data folder.
 */
import { readFileSync } from 'node:fs'
import { tryReadTokenKeys } from './config/files.ts'
import type { Config } from './config/types.ts'
import type { DataFolder } from './data-folder.ts'
import type { Logger } from './ops/logging.ts'
import { createTokenKeys, type KeyStore, type TokenKeys, tokenKeyName } from './proxy/token-keys.ts'
import { connectRedis } from './sessionizer/redis-client.ts'
import { StartError } from './threads.ts'

const redisWaitMs = 3000
const replaceScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])`

const messages = {
  redis: "the token key that nodes share was not read from Redis: this node's own is used",
  file: 'the token keys could not be read again: those from before are used',
}

/** `onKeys`: whenever they have changed. Lets go of the folder and throws a StartError when there are none to be had. */
export async function startTokenKeys(options: {
  config: Pick<Config, 'data' | 'redis' | 'tokenKeyFile'>
  folder: Pick<DataFolder, 'release'>
  log: Logger
  onKeys(keys: readonly string[]): void
}): Promise<TokenKeys> {
  const { config, folder, log, onKeys } = options
  const { tokenKeyFile } = config
  const redis = config.redis && tokenKeyFile === null ? connectRedis({ ...config.redis, log }) : null
  const store: KeyStore | null = redis && {
    async read() {
      if (!(await redis.ready(redisWaitMs))) throw new Error('Redis is not connected')
      return redis.client.get(tokenKeyName)
    },
    async replace(expected, value) {
      if (expected === null) await redis.client.set(tokenKeyName, value, 'NX')
      else await redis.client.eval(replaceScript, 1, tokenKeyName, expected, value)
      return (await redis.client.get(tokenKeyName)) ?? value
    },
  }
  try {
    const keys = await createTokenKeys({
      readConfigured: tokenKeyFile === null ? null : () => readKeys(tokenKeyFile),
      dataFolder: config.data,
      store,
      onKeys,
      warn: (error) => log.warn({ err: error }, store ? messages.redis : messages.file),
    })
    return {
      ...keys,
      close() {
        keys.close()
        redis?.close()
      },
    }
  } catch (error) {
    redis?.close()
    folder.release()
    throw new StartError(`data: ${(error as Error).message}`)
  }
}

function readKeys(path: string): string[] | null {
  const found = tryReadTokenKeys(readFileSync, path)
  return found.ok ? found.content : null
}
