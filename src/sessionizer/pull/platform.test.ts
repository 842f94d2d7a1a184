/** The platform of a pull: what an index says of it, else what the config of the image says. */
import { expect, test } from 'vitest'
import { createGraph, digestOf, parseFacts, run } from './session.fixture.ts'

const graph = createGraph({
  I: { children: { M: 'linux/arm64/v8', M2: null } },
  M: { config: 'C', layers: ['L1'], platform: 'linux/arm64' },
  M2: { config: 'C2', layers: ['L2'], platform: 'linux/riscv64' },
  M3: { config: 'C3', layers: ['L3'], platform: 'windows/amd64' },
  M4: { config: 'C4', layers: ['L4'] },
})
const tags = { multi: 'I', single: 'M3', unread: 'M4' }

const eventsOf = (lines: string[], known = graph) =>
  run(parseFacts(lines, { tags }), known).finished.map(({ event }) => event)

test.each([
  ['one without index, by tag', ['0 GET manifests/single', '1 GET blobs/C3'], 'windows/amd64', 'M3'],
  ['one by its digest', ['0 GET manifests/M3', '1 GET blobs/L3'], 'windows/amd64', 'M3'],
  ['a check of it', ['0 HEAD manifests/single'], 'windows/amd64', 'M3'],
  ['one whose config nobody read', ['0 GET manifests/unread', '1 GET blobs/C4'], null, 'M4'],
  ['what an index says', ['0 GET manifests/multi', '1 GET manifests/M'], 'linux/arm64/v8', 'M'],
  ['by its own digest, past its index', ['0 GET manifests/M', '1 GET blobs/C'], 'linux/arm64', 'M'],
  ['an index that does not say it', ['0 GET manifests/multi', '1 GET manifests/M2'], 'linux/riscv64', 'M2'],
  ['a child that its blobs tell', ['0 HEAD manifests/multi', '1 GET blobs/L2'], 'linux/riscv64', 'M2'],
  ['several', ['0 GET manifests/multi', '1 GET manifests/M', '2 GET manifests/M2'], 'multiple', null],
  ['the index alone', ['0 GET manifests/multi'], null, null],
])('%s', (_, lines, platform, name) => {
  const [event, ...others] = eventsOf(lines)
  expect(others).toEqual([])
  expect(event).toMatchObject({ platform, platform_digest: name === null ? null : digestOf(name) })
})

test('a graph from before configs were read gives null', () => {
  const old = new Map(graph)
  const { platform: _, ...bare } = graph.get(digestOf('C3'))!
  old.set(digestOf('C3'), bare as never)
  expect(eventsOf(['0 GET manifests/single'], old)[0]?.platform).toBeNull()
})

test('a config is no manifest, also when it is asked for as one', () => {
  const lines = ['0 GET manifests/C3 404']
  const without = new Map([...graph].filter(([digest]) => digest !== digestOf('C3')))
  expect(eventsOf(lines)).toEqual(eventsOf(lines, without))
  expect(eventsOf(lines)[0]).toMatchObject({ kind: 'failed', artifact: 'image', platform_digest: null })
})
