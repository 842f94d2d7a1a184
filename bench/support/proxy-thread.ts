/** The id of Waybill's first proxy thread, as `/readyz` tells it. */
import type { Waybill } from '../../test/support/waybill.ts'

export async function findProxyThread({ admin }: Pick<Waybill, 'admin'>): Promise<number> {
  const answer = await fetch(`${admin}/readyz`, { signal: AbortSignal.timeout(10_000) })
  const { threads } = (await answer.json()) as { threads: Record<string, number | null> }
  const id = threads['proxy-0']
  if (typeof id !== 'number') throw new Error('Waybill does not tell the id of its proxy thread')
  return id
}
