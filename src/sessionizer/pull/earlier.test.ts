/** Requests of one token in the order of nodes whose clocks differ. */
import { expect, test } from 'vitest'
import { createImageGraph, digestOf, parseFacts, run } from './session.fixture.ts'

test.each<[string, string[], object[]]>([
  [
    'what was fetched just before its root is of a node whose clock is behind',
    ['0.0 n1 GET manifests/M', '0.1 n1 GET blobs/C', '0.2 n1 GET manifests/t', '0.3 n1 GET blobs/L1'],
    [{ type: 'pull', kind: 'incremental', tag: 't', digest: digestOf('I'), requests: 4 }],
  ],
  [
    'so is the root by digest before its HEAD',
    ['0.0 n1 GET manifests/I', '0.1 n1 HEAD manifests/t', '0.2 n1 GET manifests/M'],
    [{ kind: 'manifest_only', tag: 't', requests: 3 }],
  ],
  [
    'or after its child',
    ['0.0 n1 HEAD manifests/t', '0.1 n1 GET manifests/M', '0.2 n1 GET manifests/I'],
    [{ kind: 'manifest_only', tag: 't', requests: 3 }],
  ],
  [
    'with another token it is another pull',
    ['0.0 n1 GET manifests/M', '0.1 n2 GET manifests/t'],
    [{ requests: 1 }, { requests: 1, tag: 't' }],
  ],
  [
    'so it is long before',
    ['0.0 n1 GET manifests/M', '2.0 n1 GET manifests/t'],
    [{ requests: 1 }, { requests: 1, tag: 't' }],
  ],
  [
    'and of a builder, which keeps its token',
    ['0.0 n1 GET manifests/M tool=buildkit', '0.1 n1 GET manifests/t tool=buildkit'],
    [{ requests: 1 }, { requests: 1, tag: 't' }],
  ],
])('%s', (_, lines, expected) => {
  const { finished } = run(parseFacts(lines), createImageGraph())
  expect(finished.map(({ event }) => event)).toEqual(expected.map((one) => expect.objectContaining(one)))
})
