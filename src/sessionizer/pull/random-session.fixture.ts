/**
 * Random sessions of few names, so that requests meet: images that share layers, indexes in indexes, signatures;
 * refusals, ranges, cuts, heartbeats; one client, one token, or several.
 */
import { createRandom, type Random } from '../../../test/support/random.ts'
import type { Fact, Graph } from '../types.ts'
import { createGraph, type ManifestSpec, parseFact } from './session.fixture.ts'

const images: Record<string, ManifestSpec> = {
  I: { children: { M: 'linux/amd64', M2: 'linux/arm64', A: 'attests M' } },
  M: { config: 'C', layers: ['L1', 'L2', 'L3'] },
  M2: { config: 'C2', layers: ['L1', 'L4'], foreign: ['L9'] },
  A: { kind: 'attestation', config: 'C.empty', layers: ['A.layer1'] },
  I2: { children: { M3: 'linux/amd64', I3: null } },
  I3: { children: { M: 'linux/amd64', M4: 'linux/s390x' } },
  M3: { config: 'C3', layers: ['L1', 'L5'] },
  M4: { config: 'C4', layers: ['L6'] },
  S: { kind: 'signature', config: 'C.empty', layers: ['S.layer1'], subject: 'I' },
}
// More than are walked through one by one.
for (let index = 1; index <= 12; index += 1) {
  images[`S${index}`] = { kind: 'sbom', config: 'C.empty', layers: [`L1${index}`], subject: 'M' }
}
const manifests = [...Object.keys(images), 'X1', 'X2']
const blobs = [
  'C',
  'C2',
  'C3',
  'L1',
  'L2',
  'L3',
  'L4',
  'L5',
  'L9',
  'C.empty',
  'A.layer1',
  'L11',
  'X3',
  'M',
  'I',
]
const tags = ['t', 'u', 'v']

export type RandomSession = { facts: Fact[]; graph: Graph }

export function createRandomSession(seed: number): RandomSession {
  const random = createRandom(seed)
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)] as T
  const some = <T>(list: readonly T[]): readonly T[] => {
    const share = pick([0.3, 0.6, 1])
    const chosen = list.filter(() => random.next() < share)
    return chosen.length > 0 ? chosen : list
  }
  const graph = createGraph(Object.fromEntries(some(Object.entries(images))))
  const names = { manifests: some(manifests), blobs: some(blobs), tags: some(tags) }
  const rates = {
    refused: pick([0, 0.1, 0.4]),
    ranged: pick([0, 0.2, 0.6]),
    long: pick([0, 0.1, 0.6]),
    attached: pick([0, 0.1, 0.3]),
  }
  const clients = pick([[''], ['n1 '], ['n1 ', 'n2 ', 'n3 '], ['', 'n1 ', 'n2 ']])
  const tools = pick([['docker'], ['docker', 'podman'], ['docker-cli', 'containerd']])
  const versions = pick([['1.0'], ['1.0', '2.0', '3.0']])
  const spanSeconds = pick([1, 20, 100, 400])
  const targets = Object.fromEntries(tags.map((tag) => [tag, pick(names.manifests)]))
  const facts = Array.from({ length: pick([10, 40, 120, 250]) }, (_, index) => {
    const path = choosePath(random, pick, names, rates.attached)
    const method = random.next() < (path.startsWith('manifests') ? 0.4 : 0.05) ? 'HEAD' : 'GET'
    const words = [
      (random.next() * spanSeconds).toFixed(2),
      pick(clients) + method,
      path,
      `tool=${pick(tools)}`,
    ]
    if (random.next() < rates.refused) words.push(pick(['404', '429', '503', '401', '304', '307']))
    else if (random.next() < rates.ranged)
      words.push(`range=${random.below(50)}-`, `sent=${random.below(99)}/400`)
    if (random.next() < rates.long) words.push(`took=${random.below(90_000)}`)
    for (const flag of ['aborted', 'heartbeat', 'unsized', 'nodigest'])
      if (random.next() < 0.05) words.push(flag)
    const fact = parseFact(words.join(' '), index + 1, { tags: targets })
    const client = { ...fact.context.client, version: pick(versions) }
    return { ...fact, context: { ...fact.context, client } }
  })
  return { facts, graph }
}

function choosePath(
  random: Random,
  pick: <T>(list: readonly T[]) => T,
  names: Record<'manifests' | 'blobs' | 'tags', readonly string[]>,
  attached: number,
): string {
  const roll = random.next()
  if (roll < 0.4) return `blobs/${pick(names.blobs)}`
  if (roll < 0.44) return 'tags/list'
  if (roll < 0.48) return `referrers/${pick(names.manifests)}`
  if (random.next() < attached)
    return `manifests/sha256-hex(${pick(names.manifests)})${pick(['', '.sig', '.sbom'])}`
  return `manifests/${random.below(2) === 0 ? pick(names.tags) : pick(names.manifests)}`
}
