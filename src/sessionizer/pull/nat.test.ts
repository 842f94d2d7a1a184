/**
 * Many machines behind one address without tokens are one session: as many pulls come out of it as went in.
 */
import { expect, test } from 'vitest'
import { createRandom, type Random } from '../../../test/support/random.ts'
import { createImageGraph, parseFacts, run } from './session.fixture.ts'

const layers = ['GET blobs/L1', 'GET blobs/L2', 'GET blobs/L3']
const roots = { docker: ['HEAD manifests/t', 'GET manifests/I'], podman: ['GET manifests/t'] } as const
const operations: Record<string, readonly string[]> = {
  'linux/amd64 full': ['GET manifests/M', 'GET blobs/C', ...layers],
  'linux/arm64/v8 full': [
    'GET manifests/M2',
    'GET blobs/C2',
    'GET blobs/L1',
    'GET blobs/L2.2',
    'GET blobs/L2.3',
  ],
  'linux/amd64 manifest_only': ['GET manifests/M', 'GET blobs/C'],
}
const check = ['HEAD manifests/t']

/** Each machine's requests in their order, the machines' in any. */
function interleave(random: Random, machines: readonly (readonly string[])[]): string[] {
  const waiting = machines.map((lines) => [...lines])
  const lines: string[] = []
  for (let at = 0; waiting.some((one) => one.length > 0); at += 0.01 + random.next() / 10) {
    const ready = waiting.filter((one) => one.length > 0)
    lines.push(`${at.toFixed(3)} ${ready[random.below(ready.length)]?.shift()}`)
  }
  return lines
}

test.each(['docker', 'podman'] as const)('cold pulls and checks by %s, side by side', (tool) => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = createRandom(seed)
    const names = Array.from(
      { length: 1 + random.below(6) },
      () => ['linux/amd64 full', 'linux/arm64/v8 full'][random.below(2)] as string,
    )
    const checks = tool === 'docker' ? random.below(3) : 0
    const machines = [
      ...names.map((name) => [...roots[tool], ...(operations[name] ?? [])]),
      ...Array.from({ length: checks }, () => check),
    ]
    const { finished } = run(parseFacts(interleave(random, machines), { tool }), createImageGraph())
    const found = finished.map(({ event }) =>
      event.type === 'check' ? 'check' : `${event.platform} ${event.kind}`,
    )
    expect(found.sort(), `seed ${seed}`).toEqual(
      [...names, ...Array.from({ length: checks }, () => 'check')].sort(),
    )
    for (const { event } of finished) expect(event).toMatchObject({ tag: 't', tag_source: 'requested' })
  }
})

test('where some had their layers already, pulls and platforms are still counted right; kinds are a guess', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = createRandom(seed)
    const kinds = Object.keys(operations)
    const names = Array.from({ length: 2 + random.below(6) }, () => kinds[random.below(3)] as string)
    const machines = names.map((name) => [...roots.podman, ...(operations[name] ?? [])])
    const { finished } = run(parseFacts(interleave(random, machines)), createImageGraph())
    const platforms = names.map((name) => name.split(' ')[0])
    expect(finished.map(({ event }) => event.platform).sort(), `seed ${seed}`).toEqual(platforms.sort())
    const requested = finished.reduce((sum, { event }) => sum + event.blob_gets, 0)
    expect(requested).toBe(machines.flat().filter((line) => line.includes('blobs/')).length)
    for (const { event } of finished) expect(['full', 'incremental', 'manifest_only']).toContain(event.kind)
  }
})
