/**
 * What kind a pull was and what its fields count, by what was attached, how it was transferred, what artifact it is.
 */
import { expect } from 'vitest'
import { blobs, type Case, root, testCases, totalSize, whole } from './case.fixture.ts'
import { createGraph, digestOf } from './session.fixture.ts'

const single = createGraph({ M: { config: 'C', layers: ['L1'] } })

const attachments: Case[] = [
  {
    name: 'nothing new for Docker with the containerd store, but its attestations are asked after',
    log: ['0 HEAD manifests/t', '0.1 GET referrers/A 404', '0.2 GET manifests/sha256-hex(A) 404'],
    expect: [{ type: 'check', kind: 'check', tag: 't', requests: 3, manifest_gets: 0 }],
  },
  {
    name: 'attestations are in the bytes, not in what is complete',
    log: [...root, '0.2 GET manifests/A', '0.3 GET blobs/A.config', ...blobs],
    expect: [
      {
        ...whole,
        platform: 'linux/amd64',
        artifact: 'image',
        subject: null,
        layers_requested: 3,
        layers_total: 3,
        blob_gets: 5,
        bytes_unique: totalSize('I', 'M', 'A', 'A.config', 'C', 'L1', 'L2', 'L3'),
        bytes_expected: totalSize('I', 'M', 'A', 'A.config', 'C', 'L1', 'L2', 'L3'),
        counts: expect.objectContaining({ hub_pulls: 1 }),
      },
    ],
  },
  {
    name: 'an attestation that the index alone knows sets no platform',
    graph: createGraph({
      I: { children: { M: 'linux/amd64', A: 'attests M' } },
      M: { config: 'C', layers: ['L1'] },
    }),
    log: [...root, '0.2 GET manifests/A', '0.3 GET blobs/C', '0.4 GET blobs/L1'],
    expect: [{ ...whole, platform: 'linux/amd64' }],
  },
  {
    name: 'an attestation that is cut off does not interrupt the pull',
    log: [...root, ...blobs, '0.6 GET manifests/A', '0.7 GET blobs/A.layer1 sent=10 aborted'],
    expect: [whole],
  },
  {
    name: 'a signature by referrers is verification of its subject',
    log: ['0 GET manifests/t', '0.1 GET referrers/I', '0.2 GET manifests/S', '0.3 GET blobs/S.layer1'],
    expect: [{ type: 'verify', kind: 'verify', tag: 't', subject: digestOf('I'), artifact: 'signature' }],
  },
  {
    name: 'verification by digest: all that speaks of one subject is one event',
    log: [
      '0 GET referrers/I 404',
      '0.1 GET manifests/sha256-hex(I) 404',
      '0.2 GET manifests/sha256-hex(I).att',
      '0.3 GET blobs/S.layer1',
    ],
    expect: [{ type: 'verify', kind: 'verify', subject: digestOf('I'), tag: null, requests: 4 }],
  },
  {
    name: 'an SBOM under a tag of its own',
    spec: { tags: { 'v1-sbom': 'S9' } },
    graph: createGraph({ S9: { kind: 'sbom', config: null, layers: ['L9'] } }),
    log: ['0 GET manifests/v1-sbom', '0.1 GET blobs/L9'],
    expect: [{ type: 'verify', kind: 'verify', artifact: 'sbom', tag: 'v1-sbom', digest: digestOf('S9') }],
  },
  {
    name: 'lists alone are discovery',
    log: ['0 GET tags/list', '0.5 GET tags/list'],
    expect: [{ type: 'discovery', kind: 'discovery', tag: null, digest: null, requests: 2 }],
  },
  {
    name: 'referrers alone are discovery of their subject',
    log: ['0 GET referrers/I'],
    expect: [{ type: 'discovery', subject: digestOf('I') }],
  },
]

const transfers: Case[] = [
  {
    name: 'containerd in chunks: answers that it closes itself are no interruption (10.3-11)',
    graph: single,
    spec: { tags: { t: 'M' } },
    log: [
      '0 HEAD manifests/t',
      '0.1 GET manifests/M 206',
      '0.2 GET blobs/C 206',
      '0.3 GET blobs/L1 206 sent=1100/3000 aborted took=900',
      '0.3 GET blobs/L1 range=1000- sent=1200/3000 aborted took=700',
      '0.3 GET blobs/L1 range=2000- sent=1000/3000 took=800',
    ],
    expect: [
      {
        ...whole,
        digest: digestOf('M'),
        resumed: false,
        bytes_sent: totalSize('M', 'C') + 3300,
        bytes_unique: totalSize('M', 'C') + 3000,
        layers_requested: 1,
        blob_gets: 4,
      },
    ],
  },
  {
    name: 'a lazy snapshotter reads here and there',
    graph: single,
    spec: { tags: { t: 'M' } },
    log: [
      '0 HEAD manifests/t',
      '0.1 GET manifests/M',
      '0.2 GET blobs/C',
      '0.3 GET blobs/L1 range=9900- sent=100/10000',
      '0.4 GET blobs/L1 range=9000- sent=900/10000',
      '0.5 GET blobs/L1 range=3000- sent=50/10000',
      '0.6 GET blobs/L1 range=5000- sent=50/10000',
    ],
    expect: [{ kind: 'lazy', resumed: false, bytes_unique: totalSize('M', 'C') + 1100 }],
  },
  {
    name: 'two reads here and there are too few to be lazy',
    graph: single,
    spec: { tags: { t: 'M' } },
    log: [
      '0 HEAD manifests/t',
      '0.1 GET manifests/M',
      '0.3 GET blobs/L1 range=100- sent=100/10000',
      '0.4 GET blobs/L1 range=900- sent=100/10000',
    ],
    expect: [{ kind: 'interrupted', resumed: false }],
  },
  {
    name: 'several ranges in one answer (zstd:chunked)',
    graph: single,
    spec: { tags: { t: 'M' }, tool: 'podman' },
    log: ['0 GET manifests/t', '0.2 GET blobs/C', '0.3 GET blobs/L1 206 sent=700 unsized'],
    expect: [{ kind: 'lazy' }],
  },
  {
    name: 'pieces in order that stop are an interruption',
    graph: single,
    spec: { tags: { t: 'M' } },
    log: [
      '0 HEAD manifests/t',
      '0.1 GET manifests/M',
      '0.3 GET blobs/L1 206 sent=100/10000',
      '0.4 GET blobs/L1 range=100- sent=100/10000',
      '0.5 GET blobs/L1 range=200- sent=100/10000',
    ],
    expect: [{ kind: 'interrupted' }],
  },
  {
    name: 'a resumed blob that is cut off again',
    graph: single,
    spec: { tags: { t: 'M' } },
    log: ['0 HEAD manifests/t', '0.1 GET manifests/M', '0.3 GET blobs/L1 range=1000- sent=10/5000 aborted'],
    expect: [{ kind: 'interrupted', resumed: true }],
  },
  {
    name: 'a transfer whose end never came',
    log: [...root, ...blobs.slice(0, 3), '0.6 GET blobs/L3 sent=10 heartbeat took=40000'],
    expect: [{ kind: 'interrupted', duration_ms: 40_600 }],
  },
  {
    name: 'some blobs redirected, some sent from here',
    log: [...root, '0.3 GET blobs/C', '0.4 GET blobs/L1 307', '0.4 GET blobs/L2 307', '0.4 GET blobs/L3 302'],
    expect: [
      {
        ...whole,
        bytes_basis: 'mixed',
        bytes_expected: totalSize('I', 'M', 'C', 'L1', 'L2', 'L3'),
        bytes_unique: totalSize('I', 'M', 'C'),
        blob_gets: 4,
      },
    ],
  },
  {
    name: 'a link that expired is asked for again: counted once (10.3-12)',
    log: [...root, '0.3 GET blobs/C 307', '0.4 GET blobs/L1 307', '20 GET blobs/L1 307'],
    expect: [{ kind: 'incremental', layers_requested: 1, bytes_expected: totalSize('I', 'M', 'C', 'L1') }],
  },
  {
    name: 'a cache that fetches each blob twice',
    spec: { tool: 'harbor' },
    log: [...root, ...blobs, ...blobs],
    expect: [{ ...whole, layers_requested: 3, bytes_unique: totalSize('I', 'M', 'C', 'L1', 'L2', 'L3') }],
  },
]

const artifacts: Case[] = [
  {
    name: 'a chart without its provenance is whole (10.3-7)',
    graph: createGraph({ I: { kind: 'helm', config: 'C', layers: ['L1', 'L1.prov'] } }),
    log: ['0 GET manifests/1.2_3', '0.1 GET blobs/C', '0.1 GET blobs/L1'],
    expect: [
      { kind: 'full', artifact: 'helm', tag: '1.2_3', platform: null, platform_digest: digestOf('I') },
    ],
  },
  {
    name: 'an artifact with the empty config is whole without it',
    graph: createGraph({
      I: { kind: 'other', config: 'C', configType: 'application/vnd.oci.empty.v1+json', layers: ['L1'] },
    }),
    log: ['0 GET manifests/t', '0.1 GET blobs/L1'],
    expect: [
      { kind: 'full', artifact: 'other', counts: expect.objectContaining({ config_blob_pull: false }) },
    ],
  },
  {
    name: 'foreign layers come from elsewhere (10.3-20)',
    graph: createGraph({ I: { config: 'C', layers: ['L1'], foreign: ['L9'] } }),
    log: ['0 GET manifests/t', '0.1 GET blobs/C', '0.1 GET blobs/L1'],
    expect: [{ kind: 'full', layers_total: 1 }],
  },
  {
    name: 'a pull whose manifests are not in the graph is decided on what was requested',
    graph: createGraph({}),
    log: [...root, ...blobs],
    expect: [
      {
        type: 'pull',
        kind: 'incremental',
        tag: 't',
        digest: digestOf('I'),
        platform: null,
        layers_total: null,
        layers_requested: 4,
        counts: {
          hub_pulls: 1,
          dvp_action: 'pull_by_tag',
          scarf_pull: true,
          k8s_complete_pull: true,
          config_blob_pull: false,
        },
      },
    ],
  },
  {
    name: 'the index alone is in the graph',
    graph: createGraph({ I: { children: { M: 'linux/amd64' } } }),
    log: [...root, ...blobs],
    expect: [
      { kind: 'incremental', platform: 'linux/amd64', platform_digest: digestOf('M'), layers_total: null },
    ],
  },
  {
    name: 'the platform by its blobs, when the client had the manifests',
    log: ['0 HEAD manifests/t', '0.1 GET blobs/L2.2'],
    expect: [
      { kind: 'incremental', platform: 'linux/arm64/v8', layers_total: 3, bytes_expected: totalSize('L2.2') },
    ],
  },
]

testCases({ attachments, transfers, artifacts })
