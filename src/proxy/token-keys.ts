/**
 * The keys that sign the front's tokens: from the config, else shared through Redis, else kept in the data
 * folder, so that tokens survive a restart.
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What is needed of a Redis client. */
export type KeyStore = {
  /** SET with NX: keeps the value that is there, and returns the one that counts. */
  setIfAbsent(key: string, value: string): Promise<string>
}

export const tokenKeyName = 'waybill:token-key'
const keyPattern = /^[0-9a-f]{64}$/

/**
 * 32-byte keys in hex, the first signs. With a store that does not answer, the folder's key is used and
 * `warn` is told: other nodes serve its tokens all the same, but count their pulls by client.
 */
export async function loadTokenKeys(options: {
  configured: readonly string[] | null
  dataFolder: string
  store: KeyStore | null
  warn(error: unknown): void
}): Promise<string[]> {
  if (options.configured) return [...options.configured]
  const local = readOrMake(join(options.dataFolder, 'token-key'))
  if (!options.store) return [local]
  try {
    const shared = await options.store.setIfAbsent(tokenKeyName, local)
    if (!keyPattern.test(shared)) throw new Error(`${tokenKeyName} in Redis is not a key of 64 hex digits`)
    // The local key goes on verifying what this node signed while Redis was away.
    return shared === local ? [shared] : [shared, local]
  } catch (error) {
    options.warn(error)
    return [local]
  }
}

function readOrMake(file: string): string {
  try {
    const key = readFileSync(file, 'utf8').trim()
    if (keyPattern.test(key)) return key
    throw Object.assign(new Error(`${file} does not hold a key of 64 hex digits`), { code: 'BAD_TOKEN_KEY' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const key = randomBytes(32).toString('hex')
  writeFileSync(file, `${key}\n`, { mode: 0o600, flag: 'wx' })
  chmodSync(file, 0o600)
  return key
}
