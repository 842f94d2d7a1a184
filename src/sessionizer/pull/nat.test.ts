/**
 * Many machines behind one address without tokens are one session: as many pulls come out of it as went in.
 */
import { expect, test } from 'vitest'
import { createRandom, type Random } from '../../../test/support/random.ts'
import type { Client } from '../../record/events.ts'
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

const names = (lines: readonly string[], { tool, change }: { tool: string; change?: Partial<Client> }) => {
  const facts = parseFacts(lines, { tool }).map((fact, index) => {
    // Every second line is of the other machine.
    const client = { ...fact.context.client, ...(index % 2 === 1 && change) }
    return { ...fact, context: { ...fact.context, client } }
  })
  const { finished } = run(facts, createImageGraph())
  return finished.map(({ event }) => `${event.type} ${event.kind} ${event.requests}`)
}

test.each<[string, Partial<Client>]>([
  ['version', { version: '2.0' }],
  ['platform', { arch: 'arm64' }],
  ['tool of the same family', { tool: 'containerd' }],
])('machines are told apart by their %s', (_, change) => {
  const lines = ['0 HEAD manifests/t', '0.1 GET manifests/I', '0.2 HEAD manifests/t', '0.3 GET manifests/M']
  expect(names(lines, { tool: 'docker', change })).toEqual([
    'check check 1',
    'pull manifest_only 2',
    'check check 1',
  ])
  expect(names(lines, { tool: 'docker' })).toEqual(['pull manifest_only 3', 'check check 1'])
})

test('what is up to date and only not known to be over gets nothing of a pull that begins seconds later', () => {
  const lines = ['GET manifests/t', 'GET manifests/M', 'GET blobs/C']
  const old = lines.map((line, index) => `${index / 10} ${line}`)
  const cold = [...lines, ...layers].map((line, index) => `${3 + index / 10} ${line}`)
  expect(names([...old, ...cold], { tool: 'podman' })).toEqual(['pull manifest_only 3', 'pull full 6'])
  const checks = ['0 HEAD manifests/t', '0.5 HEAD manifests/t', '3 HEAD manifests/t', '3.1 GET manifests/I']
  expect(names(checks, { tool: 'docker' })).toEqual([
    'check check 1',
    'check check 1',
    'pull manifest_only 2',
  ])
})

test('a transfer that takes long keeps its pull active: what is asked for when it ends is its own', () => {
  const long = ['0 GET manifests/t', '0.1 GET manifests/M', '0.2 GET blobs/C', '0.3 GET blobs/L1 took=7000']
  const between = ['3 GET manifests/t', '3.1 GET manifests/M', '3.2 GET blobs/C', '3.3 GET blobs/L1']
  expect(names([...long, ...between, '7.4 GET blobs/L2', '7.5 GET blobs/L3'], { tool: 'podman' })).toEqual([
    'pull full 6',
    'pull incremental 4',
  ])
})
