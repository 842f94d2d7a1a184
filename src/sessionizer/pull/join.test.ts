/**
 * Which requests are one pull, which are two, and what becomes of refusals.
 */
import { expect } from 'vitest'
import { blobs, type Case, root, testCases, totalSize, whole } from './case.fixture.ts'
import { createGraph, digestOf } from './session.fixture.ts'

const roots: Case[] = [
  {
    name: 'a second tag of the same digest without GETs is a check (10.3-3)',
    log: [
      '0.0 HEAD manifests/t',
      '0.0 HEAD manifests/u',
      '0.1 GET manifests/I',
      '0.2 GET manifests/M',
      ...blobs,
    ],
    expect: [whole, { type: 'check', tag: 'u', digest: digestOf('I') }],
  },
  {
    name: 'two clients pull by tag with GET at once',
    log: [
      '0.0 GET manifests/t',
      '0.1 GET manifests/t',
      '0.2 GET manifests/M',
      '0.2 GET manifests/M2',
      ...blobs,
      '0.7 GET blobs/C2',
      '0.7 GET blobs/L1',
      '0.7 GET blobs/L2.2',
      '0.7 GET blobs/L2.3',
    ],
    expect: [
      { ...whole, platform: 'linux/amd64' },
      { ...whole, platform: 'linux/arm64/v8' },
    ],
  },
  {
    name: 'the same child manifest again without a root is another client (10.3-1)',
    log: [...root, ...blobs, '1.0 GET manifests/M', '1.1 GET blobs/C'],
    expect: [
      { ...whole, requests: 7 },
      { kind: 'manifest_only', tag: null, digest: digestOf('M'), requests: 2 },
    ],
  },
  {
    name: 'with one token it is the same pull',
    spec: { method: 'token' },
    log: [...root, ...blobs, '1.0 GET manifests/M'],
    expect: [{ ...whole, requests: 8, counts: expect.objectContaining({ hub_pulls: 1 }) }],
  },
  {
    name: 'two pulls by digest without tokens',
    log: [
      '0.0 GET manifests/I',
      '0.1 GET manifests/I',
      '0.2 GET manifests/M',
      '0.2 GET manifests/M',
      ...blobs,
    ],
    expect: [
      { kind: 'full', tag: null, tag_source: null },
      { kind: 'manifest_only', tag: null },
    ],
  },
  {
    name: 'a builder pulls tag after tag with one token (10.3-16)',
    spec: { tool: 'buildkit', method: 'token' },
    log: [...root, ...blobs, '2.0 HEAD manifests/u', '2.1 GET manifests/I'],
    expect: [
      { ...whole, batch_id: null },
      { kind: 'manifest_only', requests: 2 },
    ],
  },
  {
    name: 'docker pull -a: one token, one event a tag, one batch (10.3-2)',
    spec: { method: 'token', tags: { a: 'M', b: 'M3' } },
    graph: createGraph({ M: { config: 'C', layers: ['L1'] }, M3: { config: 'C3', layers: ['L1', 'L3'] } }),
    log: [
      '0.0 GET tags/list',
      '0.1 HEAD manifests/a',
      '0.2 GET manifests/M',
      '0.3 GET blobs/C',
      '0.4 GET blobs/L1',
      '0.5 HEAD manifests/b',
      '0.6 GET manifests/M3',
      '0.7 GET blobs/C3',
      '0.8 GET blobs/L3',
    ],
    expect: [
      { tag: 'a', kind: 'full', requests: 5, batch_id: expect.stringMatching(/^[0-9a-f]{32}$/) },
      { tag: 'b', kind: 'incremental', batch_id: expect.stringMatching(/^[0-9a-f]{32}$/) },
    ],
  },
  {
    name: 'a check that was followed by a pull of its digest later lends its tag',
    log: ['0.0 HEAD manifests/t', '30.0 GET manifests/I', '30.1 GET manifests/M', '30.2 GET blobs/C'],
    expect: [
      { type: 'check', tag: 't', tag_source: 'requested' },
      { type: 'pull', tag: 't', tag_source: 'inferred', kind: 'manifest_only' },
    ],
  },
  {
    name: 'blobs before their root, as clocks of two nodes differ',
    log: [
      '0.0 GET blobs/L1',
      '0.1 GET manifests/t',
      '0.2 GET manifests/M',
      '0.3 GET blobs/C',
      '0.4 GET blobs/L2',
    ],
    expect: [{ kind: 'incremental', tag: 't', requests: 5, layers_requested: 2 }],
  },
  {
    name: 'tokens tell apart what nothing else does',
    log: [
      '0.0 n1 GET manifests/t',
      '0.1 n2 GET manifests/t',
      '0.2 n2 GET manifests/M',
      '0.3 n1 GET manifests/M2',
      '0.4 n2 GET blobs/L1',
    ],
    expect: [
      { platform: 'linux/arm64/v8', kind: 'manifest_only' },
      { platform: 'linux/amd64', kind: 'incremental' },
    ],
  },
  {
    name: 'what is not in the graph does not join the pull of another token',
    graph: createGraph({}),
    log: ['0.0 n1 GET manifests/X1', '0.1 n2 GET manifests/X2', '0.2 n2 GET blobs/X3'],
    expect: [
      { digest: digestOf('X1'), requests: 1 },
      { digest: digestOf('X2'), requests: 2 },
    ],
  },
  {
    name: 'an answer without a digest is of the digest that is asked for next',
    log: ['0 GET manifests/t nodigest', '0.1 GET manifests/I', '0.2 GET manifests/M', '0.3 GET blobs/C'],
    expect: [
      {
        tag: 't',
        digest: digestOf('I'),
        manifest_gets: 3,
        bytes_unique: totalSize('I', 'M', 'C'),
        bytes_expected: totalSize('I', 'M', 'C'),
      },
    ],
  },
  {
    name: 'two clients resume a layer at different places',
    log: [
      '0.0 GET manifests/t',
      '0.1 GET manifests/t',
      '0.2 GET manifests/M',
      '0.3 GET manifests/M',
      '0.4 GET blobs/L1 sent=2000/5000 took=1000 aborted',
      '0.5 GET blobs/L1 sent=1000/5000 took=1000 aborted',
      '3.0 GET blobs/L1 range=1000- sent=4000/5000',
      '4.0 GET blobs/L1 range=2000- sent=3000/5000',
    ],
    expect: [
      { kind: 'incremental', bytes_sent: totalSize('I', 'M') + 5000 },
      { kind: 'incremental', bytes_sent: totalSize('I', 'M') + 5000 },
    ],
  },
  {
    name: 'a pause longer than the idle time parts two pulls',
    log: [...root, ...blobs.slice(0, 2), '100 HEAD manifests/t', '100.1 GET blobs/L2'],
    expect: [
      { kind: 'incremental', layers_requested: 1 },
      { kind: 'incremental', requests: 2 },
    ],
  },
]

const refusals: Case[] = [
  {
    name: 'a check that is retried is one check',
    log: ['0 HEAD manifests/t 429', '1 HEAD manifests/t 503', '2 HEAD manifests/t'],
    expect: [
      { type: 'check', kind: 'check', requests: 3, manifest_heads: 1, attempts: 1, fail_reason: null },
    ],
  },
  {
    name: 'kubelet backs off: each attempt is an event, the last knows of the others (10.3-9)',
    log: ['0 HEAD manifests/t 404', '10 HEAD manifests/t 404', '30 HEAD manifests/t', '30.1 GET manifests/I'],
    expect: [
      { type: 'check', kind: 'failed', fail_reason: '404', attempts: 1 },
      { kind: 'failed', fail_reason: '404', attempts: 2 },
      { type: 'pull', kind: 'manifest_only', attempts: 3 },
    ],
  },
  {
    name: 'attempts more than ten minutes before are forgotten',
    log: ['0 HEAD manifests/t 404', '601 HEAD manifests/t'],
    expect: [{ kind: 'failed' }, { kind: 'check', attempts: 1 }],
  },
  {
    name: 'a refusal more than a few seconds ago is an attempt of its own, by HEAD or GET',
    log: ['0 HEAD manifests/t 503', '10 HEAD manifests/t', '30 GET manifests/u 503', '41 GET manifests/u'],
    expect: [
      { tag: 't', kind: 'failed', attempts: 1 },
      { tag: 't', kind: 'check', attempts: 2 },
      { tag: 'u', kind: 'failed', attempts: 1 },
      { tag: 'u', kind: 'manifest_only', attempts: 2 },
    ],
  },
  {
    name: 'one of several platforms is refused',
    log: ['0 GET manifests/t', '0.1 GET manifests/M', '0.2 GET manifests/M2 500'],
    expect: [{ type: 'pull', kind: 'manifest_only', platform: 'linux/amd64', fail_reason: null }],
  },
  {
    name: 'podman waits up to a minute on a 429',
    spec: { tool: 'podman' },
    log: ['0 GET manifests/t 429', '40 GET manifests/t', '40.1 GET manifests/M'],
    expect: [{ kind: 'manifest_only', attempts: 1, requests: 3 }],
  },
  {
    name: 'GET for the text of an error belongs to its HEAD',
    log: ['0 HEAD manifests/t 404', '0.1 GET manifests/t 404'],
    expect: [{ type: 'pull', kind: 'failed', fail_reason: '404', requests: 2, tag: 't' }],
  },
  {
    name: 'the tag is there, its manifest is not given out',
    log: ['0 HEAD manifests/t', '0.1 GET manifests/I 429', '0.2 GET manifests/I 429'],
    expect: [{ type: 'pull', kind: 'failed', fail_reason: '429', digest: digestOf('I'), requests: 3 }],
  },
  {
    name: 'the manifest of the platform is refused',
    log: ['0 GET manifests/t', '0.1 GET manifests/M 500'],
    expect: [{ type: 'pull', kind: 'failed', fail_reason: '500' }],
  },
  {
    name: 'a layer that never comes interrupts',
    log: [...root, '0.3 GET blobs/C', '0.4 GET blobs/L1 502', '0.9 GET blobs/L1 502'],
    expect: [{ kind: 'interrupted', fail_reason: null, blob_gets: 1, layers_requested: 1, requests: 6 }],
  },
  {
    name: 'a layer that comes at the second try is counted once',
    log: [...root, ...blobs.slice(0, 3), '0.6 GET blobs/L3 503', '1.0 GET blobs/L3'],
    expect: [{ ...whole, blob_gets: 4, layers_requested: 3 }],
  },
  {
    name: 'challenges are counted nowhere',
    log: ['0 HEAD manifests/t 401', '0.1 HEAD manifests/t'],
    expect: [{ kind: 'check', requests: 1, duration_ms: 1 }],
  },
  {
    name: 'by digest, a missing manifest is looked for among the blobs',
    log: ['0 HEAD manifests/I 404', '0.1 HEAD blobs/I 404'],
    expect: [{ type: 'check', kind: 'failed', fail_reason: '404', digest: digestOf('I'), requests: 2 }],
  },
]

testCases({ roots, refusals })
