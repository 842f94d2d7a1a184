/**
 * Starts the keyring of the pseudonyms: shared with other nodes where there is Redis and a file of wrapping keys,
 * else this node's own.
 */
import { readFileSync } from 'node:fs'
import type { Config } from './config/types.ts'
import type { Logger } from './ops/logging.ts'
import { connectRedis } from './sessionizer/redis-client.ts'
import { StartError } from './threads.ts'
import { createKeyShare, parseWrappingKeys } from './workers/key-share.ts'
import { createKeyring, defaultGraceMs, type Keyring } from './workers/keyring.ts'

/** At the start nothing waits longer for Redis than this; a node without it has keys of its own. */
const redisWaitMs = 3000

export async function startKeyring(config: Config, log: Logger): Promise<Keyring> {
  const { rotationMs, keyFile } = config.privacy
  const options = { rotationMs, graceMs: defaultGraceMs }
  const wrappingKeys = keyFile === null ? null : readWrappingKeys(keyFile)
  if (config.redis === null || wrappingKeys === null) return createKeyring(options)
  const redis = connectRedis({ ...config.redis, log })
  await redis.ready(redisWaitMs)
  const keyring = await createKeyring({
    ...options,
    share: createKeyShare({
      store: {
        async setIfAbsent(key, value, expiresAtMs) {
          await redis.client.set(key, value, 'PXAT', expiresAtMs, 'NX')
          return (await redis.client.get(key)) ?? ''
        },
        async time() {
          const [seconds, microseconds] = await redis.client.time()
          return Number(seconds) * 1000 + Number(microseconds) / 1000
        },
      },
      wrappingKeys,
      warn: (error) => log.warn({ err: error }, 'the key of the pseudonyms was not had from Redis'),
    }),
    onAlone: (epoch) =>
      log.warn({ epoch }, 'pseudonyms of this epoch are made with a key that only this node has'),
  })
  return {
    ...keyring,
    close() {
      keyring.close()
      redis.close()
    },
  }
}

function readWrappingKeys(path: string): Buffer[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new StartError(
      `privacy.keyFile: ${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`,
    )
  }
  const keys = parseWrappingKeys(text)
  if (keys === null)
    throw new StartError(`privacy.keyFile: ${path}: expected lines of 64 hex digits, one at least`)
  return keys
}
