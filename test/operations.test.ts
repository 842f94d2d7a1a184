/** The fault table of docs/operations.md: every row is what happens, and every word of it is in the docs. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { readLog, readMetric, readReadiness, showLog } from './support/admin.ts'
import { type FaultRow, matchesShown, type RunningScene, renderFaultTable } from './support/fault-rows.ts'
import { serviceRows } from './support/fault-rows-services.ts'
import { startRows } from './support/fault-rows-start.ts'
import { stopRows } from './support/fault-rows-stop.ts'
import { storageRows } from './support/fault-rows-storage.ts'

const rows = [...startRows, ...serviceRows, ...storageRows, ...stopRows]
const slow = { timeout: 90_000, interval: 100 }

async function askOrRefused({ ask }: RunningScene): Promise<FaultRow['clients']> {
  return ask().catch((error: Error) => {
    const { code } = (error.cause ?? error) as NodeJS.ErrnoException
    return code === 'ECONNREFUSED' ? 'refused' : Promise.reject(error)
  })
}

/** The state of the row's dependency; each ask may be what makes it known. */
async function readDependency(row: FaultRow, { waybill }: RunningScene) {
  const { dependencies, code, status } = await readReadiness(waybill)
  const shown = row.ready?.dependency
  const [, found] = Object.entries(dependencies).find(([name]) => shown && matchesShown(shown, name)) ?? []
  return { code, status, state: found?.state, why: found?.why }
}

test.concurrent.for(rows)('$fault', async (row, { expect, onTestFailed }) => {
  const scene = await row.arrange()
  if ('ended' in scene) {
    const lines = scene.ended.stderr.trimEnd().split('\n')
    expect(scene.ended.code).toBe(row.exitCode)
    expect(lines).toHaveLength(row.log.length)
    for (const [index, { msg }] of row.log.entries())
      expect(lines[index]).toSatisfy((line: string) => matchesShown(msg, line))
    return
  }
  const { waybill } = scene
  onTestFailed(() => showLog(waybill))
  const isLogged = ({ level, msg }: FaultRow['log'][number]): boolean =>
    readLog(waybill).some((line) => matchesShown(`${level}: ${msg}`, `${line.level}: ${line.msg}`))
  const missing = () => row.log.filter((line) => !isLogged(line))
  const readState = async () => {
    // What nobody uses is not known to fail, unless it is looked after.
    if (!scene.quiet) await scene.ask()
    return (await readDependency(row, scene)).state
  }

  const { code, status, dependency, states = [], why = [] } = row.ready ?? {}
  if (dependency !== undefined) {
    await expect.poll(readState, slow).toBe(states.at(-1))
    if (why.length > 0) expect(why).toContain((await readDependency(row, scene)).why)
  }
  await expect.poll(() => readDependency(row, scene), slow).toMatchObject({ code, status })
  await expect.poll(() => askOrRefused(scene), slow).toBe(row.clients)
  await scene.meanwhile?.()
  expect(await askOrRefused(scene)).toBe(row.clients)
  if (row.metric) {
    const { name, labels, value } = row.metric
    const read = () => readMetric(waybill, name, labels)
    if (value === '0') await expect.poll(read, slow).toBe(0)
    else await expect.poll(read, slow).toBeGreaterThan(0)
  }
  // Said within moments; what a stop says comes later.
  if (row.exitCode === null) await expect.poll(missing, slow).toEqual([])
  if (scene.recover) {
    await scene.recover()
    await expect.poll(readState, slow).toBe('ok')
    await expect
      .poll(() => readLog(waybill).map(({ msg }) => msg), slow)
      .toContain('a dependency works again')
  }
  await scene.afterwards?.()
  if (scene.waits) await waybill.kill()
  else
    expect(row.exitCode === null ? await waybill.stop() : (await waybill.exited).code).toBe(row.exitCode ?? 0)
  expect(missing()).toEqual([])
  // Told, and not told with every try.
  expect(readLog(waybill).filter(({ level }) => level === 'warn' || level === 'error').length).toBeLessThan(
    20,
  )
  await scene.cleanUp()
})

test('the docs hold the table as it is tested', () => {
  const docs = readFileSync(new URL('../docs/operations.md', import.meta.url), 'utf8')
  const section = docs.split(/^## /m).find((text) => text.startsWith('Faults')) ?? ''
  // However wide a formatter has made the columns.
  const squeeze = (line: string): string => line.replace(/ +/g, ' ').replace(/-{3,}/g, '---')
  const lines = section.split('\n').filter((line) => line.startsWith('|'))
  expect(lines.map(squeeze)).toEqual(renderFaultTable(rows).split('\n'))
})
