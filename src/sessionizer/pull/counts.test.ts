/**
 * The counts of others' definitions, row by row as they publish them.
 */
import { expect, test } from 'vitest'
import type { PackageEvent } from '../../record/events.ts'
import { createImageGraph, parseFacts, run, sizeOf } from './session.fixture.ts'

type Counts = PackageEvent['counts']

const none: Counts = {
  hub_pulls: 0,
  dvp_action: null,
  scarf_pull: false,
  k8s_complete_pull: false,
  config_blob_pull: false,
}
const rows: [name: string, log: string[], expected: Partial<Counts>][] = [
  ['HEAD by tag', ['HEAD manifests/t'], { dvp_action: 'version_check' }],
  ['GET by tag', ['GET manifests/t'], { dvp_action: 'pull_by_tag', scarf_pull: true }],
  [
    'GET by tag, GET of another digest',
    ['GET manifests/t', 'GET manifests/M'],
    { dvp_action: 'pull_by_tag', scarf_pull: true, hub_pulls: 1 },
  ],
  [
    'HEAD by tag, GET of the same digest, GET of another',
    ['HEAD manifests/t', 'GET manifests/I', 'GET manifests/M'],
    { dvp_action: 'pull_by_tag', scarf_pull: true, hub_pulls: 1 },
  ],
  ['HEAD by digest alone', ['HEAD manifests/I'], { dvp_action: 'pull_by_digest' }],
  ['GET by digest', ['GET manifests/M'], { dvp_action: 'pull_by_digest', scarf_pull: true, hub_pulls: 1 }],
  [
    'HEAD and GET by digest, GET of another, for two platforms',
    ['HEAD manifests/I', 'GET manifests/I', 'GET manifests/M', 'GET manifests/M2'],
    { dvp_action: 'pull_by_digest', scarf_pull: true, hub_pulls: 2 },
  ],
  ['refused', ['HEAD manifests/t 404', 'GET manifests/t 404'], {}],
  [
    'an attestation is no image',
    ['GET manifests/t', 'GET manifests/M', 'GET manifests/A', 'GET blobs/A.config'],
    { dvp_action: 'pull_by_tag', scarf_pull: true, hub_pulls: 1, k8s_complete_pull: true },
  ],
  [
    'the config',
    ['HEAD manifests/t', 'GET blobs/C'],
    { dvp_action: 'version_check', k8s_complete_pull: true, config_blob_pull: true },
  ],
  ['the config by HEAD', ['HEAD manifests/t', 'HEAD blobs/C'], { dvp_action: 'version_check' }],
  ['a blob alone', ['GET blobs/L1 307'], {}],
  ['a list', ['GET tags/list'], {}],
]

test.each(rows)('%s', (_, lines, expected) => {
  const facts = parseFacts(lines.map((line, index) => `${index / 10} ${line}`))
  const { finished } = run(facts, createImageGraph())
  expect(finished.map(({ event }) => event.counts)).toEqual([{ ...none, ...expected }])
})

test.each([
  ['a manifest that was refused counts with its size, which others told', '503', sizeOf('I')],
  ['one that nobody knows counts nothing', '404 manifests/X1', 0],
])('bytes expected: %s', (_, answer, bytes) => {
  const [status, path = 'manifests/I'] = answer.split(' ')
  const { finished } = run(parseFacts([`0 GET ${path} ${status}`]), createImageGraph())
  expect(finished.map(({ event }) => [event.kind, event.bytes_expected])).toEqual([['failed', bytes]])
})
