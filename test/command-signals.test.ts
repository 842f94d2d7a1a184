/** What a signal does to a Waybill that has not started yet, and who may read what it leaves. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startProcess, temporaryFolder } from './support/processes.ts'
import { command } from './support/waybill.ts'

test.each(['SIGTERM', 'SIGINT'] as const)('%s while it starts is a stop in order', async (signal) => {
  const data = temporaryFolder('data')
  const waybill = await startProcess({
    command,
    args: [
      'serve',
      '--upstream=http://127.0.0.1:1',
      '--listen=127.0.0.1:0',
      '--admin=127.0.0.1:0',
      `--data=${data}`,
    ],
    // Taken, but nothing listens yet.
    ready: async () => existsSync(join(data, 'pid')),
  })
  expect(waybill.stderr()).not.toContain('"serving"')
  const open = readdirSync(data).filter((name) => (statSync(join(data, name)).mode & 0o077) !== 0)
  expect(open).toEqual([])
  expect((await waybill.stop(signal)).code).toBe(0)
})
