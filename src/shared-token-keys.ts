/**
 * The keys of the front's own tokens, before anything is served; a start that fails lets go of the data folder.
 */
import type { Config } from './config/types.ts'
import type { DataFolder } from './data-folder.ts'
import type { Logger } from './ops/logging.ts'
import type { TokenKeys } from './proxy/token-keys.ts'
import { startTokenKeys } from './token-keys.ts'

export async function findTokenKeys(
  config: Config,
  folder: DataFolder,
  log: Logger,
  onKeys: (keys: readonly string[]) => void,
): Promise<TokenKeys> {
  try {
    return await startTokenKeys({ config, log, onKeys })
  } catch (error) {
    folder.release()
    throw error
  }
}
