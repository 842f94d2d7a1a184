/**
 * The fixtures of "Fixtures for grouping" (10.4): lines of requests and the events they must give.
 */
import { expect, test } from 'vitest'
import type { PackageEvent } from '../../record/events.ts'
import type { Graph } from '../types.ts'
import { createGraph, digestOf, parseFacts, run, type SessionSpec, sizeOf } from './session.fixture.ts'

type Expected = Partial<Record<keyof PackageEvent, unknown>>
type Case = { name: string; log: string[]; graph: Graph; spec?: SessionSpec; expect: Expected[] }

const oneLayer = createGraph({
  I: { children: { M: 'linux/amd64' } },
  M: { config: 'C', layers: ['L1'] },
})
const twoTags = createGraph({
  M1: { config: 'C1', layers: ['L1', 'L2'] },
  M2: { config: 'C2', layers: ['L1', 'L3'] },
})
const full: Expected = { tag: '1.0', digest: digestOf('I'), type: 'pull', kind: 'full' }

const cases: Case[] = [
  {
    name: 'nat-two-dockers-open-mode',
    graph: oneLayer,
    log: [
      '0.0 HEAD manifests/1.0',
      '0.1 GET manifests/I',
      '0.2 HEAD manifests/1.0',
      '0.3 GET manifests/M',
      '0.3 GET manifests/I',
      '0.4 GET manifests/M',
      '0.5 GET blobs/C',
      '0.5 GET blobs/L1',
      '0.6 GET blobs/C',
      '0.6 GET blobs/L1',
    ],
    expect: [
      { ...full, requests: 5, layers_requested: 1 },
      { ...full, requests: 5, layers_requested: 1 },
    ],
  },
  {
    name: 'two-tags-shared-base',
    graph: twoTags,
    spec: { tags: { a: 'M1', b: 'M2' } },
    log: [
      '0.0 HEAD manifests/a',
      '0.0 HEAD manifests/b',
      '0.1 GET manifests/M1',
      '0.1 GET manifests/M2',
      '0.2 GET blobs/C1',
      '0.2 GET blobs/C2',
      '0.3 GET blobs/L1',
      '0.3 GET blobs/L2',
      '0.4 GET blobs/L3',
    ],
    expect: [
      { tag: 'a', kind: 'full', layers_requested: 2 },
      { tag: 'b', kind: 'incremental', layers_requested: 1, layers_total: 2 },
    ],
  },
  {
    name: 'retry-same-blob',
    graph: oneLayer,
    spec: { tags: { a: 'M' } },
    log: [
      '0.0 HEAD manifests/a',
      '0.1 GET manifests/M',
      '0.2 GET blobs/C',
      '0.3 GET blobs/L1 sent=1000/5000 aborted',
      '5.3 GET blobs/L1 range=1000- sent=4000/5000',
    ],
    expect: [
      {
        tag: 'a',
        kind: 'full',
        bytes_unique: sizeOf('M') + sizeOf('C') + 5000,
        resumed: false,
        blob_gets: 3,
      },
    ],
  },
  {
    name: 'interrupted',
    graph: oneLayer,
    spec: { tags: { a: 'M' } },
    log: [
      '0.0 HEAD manifests/a',
      '0.1 GET manifests/M',
      '0.2 GET blobs/C',
      '0.3 GET blobs/L1 sent=1000/5000 aborted',
    ],
    expect: [{ tag: 'a', kind: 'interrupted' }],
  },
  {
    name: 'resume-next-day',
    graph: oneLayer,
    spec: { tags: { a: 'M' } },
    log: ['0.0 HEAD manifests/a', '0.1 GET blobs/L1 range=1000- sent=4000/5000'],
    expect: [{ tag: 'a', kind: 'incremental', resumed: true }],
  },
  {
    // `bytes_expected` is the contract's: manifests too.
    name: 'cdn-redirect',
    graph: oneLayer,
    spec: { tags: { a: 'M' } },
    log: ['0.0 HEAD manifests/a', '0.1 GET manifests/M', '0.2 GET blobs/C 307', '0.2 GET blobs/L1 307'],
    expect: [
      {
        tag: 'a',
        kind: 'full',
        bytes_basis: 'redirected',
        bytes_expected: sizeOf('M') + sizeOf('C') + sizeOf('L1'),
        bytes_unique: sizeOf('M'),
      },
    ],
  },
  {
    // Two tokens, two sessions: that the store joined them is what brings the facts here. The first layer runs on.
    name: 'token-refresh-mid-pull',
    graph: createGraph({ M: { layers: ['L1', 'L2'] } }),
    spec: { tags: { a: 'M' } },
    log: [
      '0 n1 HEAD manifests/a',
      '1 n1 GET manifests/M',
      '2 n1 GET blobs/L1 took=3997000',
      '4000 n2 GET blobs/L2',
    ],
    expect: [{ tag: 'a', kind: 'full' }],
  },
  {
    // Three tokens are three sessions; here they are one, as if they came without tokens.
    name: 'kubelet-always-3-nodes-behind-nat',
    graph: oneLayer,
    log: ['0 HEAD manifests/a', '0 HEAD manifests/a', '0 HEAD manifests/a'],
    expect: Array.from({ length: 3 }, () => ({ tag: 'a', type: 'check', kind: 'check' })),
  },
  {
    name: 'signature-only',
    graph: createGraph({ S: { kind: 'signature', config: 'S.config', layers: ['S1'], subject: 'I' } }),
    log: ['0 GET manifests/sha256-hex(I).sig', '1 GET blobs/S1'],
    expect: [
      {
        type: 'verify',
        kind: 'verify',
        subject: digestOf('I'),
        digest: digestOf('S'),
        artifact: 'signature',
        tag: null,
        blob_gets: 1,
        layers_requested: 0,
      },
    ],
  },
  {
    name: 'blob-orphan',
    graph: createGraph({}),
    log: ['0 GET blobs/L1'],
    expect: [{ type: 'pull', kind: 'incremental', tag: null, digest: null, layers_total: null }],
  },
]

for (const row of cases) {
  test(row.name, () => {
    const { finished, remaining } = run(parseFacts(row.log, row.spec), row.graph)
    expect(finished.map(({ event }) => event)).toEqual(row.expect.map((one) => expect.objectContaining(one)))
    expect(remaining).toEqual([])
  })
}
