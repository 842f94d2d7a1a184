import fc from 'fast-check'
import { expect, test } from 'vitest'
import { outcomes } from '../record/record.ts'
import { packContext, unpackContext } from './context-codec.ts'
import { keepSession, packFact, unpackFact } from './fact-codec.ts'
import { unpackSession } from './stored-facts.ts'
import type { Fact, FactContext } from './types.ts'

const hexDigit = fc.constantFrom(...'0123456789abcdef')
const hex = (length: number) => fc.string({ unit: hexDigit, minLength: length, maxLength: length })
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  hex(32),
  hex(7),
  fc.constant('00'),
  fc.string(),
)
const date = fc
  .date({ noInvalidDate: true, min: new Date(0), max: new Date(8e12) })
  .map((one) => one.toISOString())
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: null })

const context: fc.Arbitrary<FactContext> = fc.record({
  session_method: fc.constantFrom('token' as const, 'client' as const),
  domain: maybe(text),
  repository: text.filter((one) => one !== ''),
  upstream: maybe(text),
  upstream_repository: maybe(text.filter((one) => one !== '')),
  client: fc.record({
    id: hex(32),
    endpoint_id: hex(32),
    tool: maybe(text),
    version: maybe(text),
    os: maybe(text),
    arch: maybe(text),
    automation: fc.constantFrom('yes' as const, 'probable' as const, 'no' as const),
    via: maybe(text),
  }),
  geo: fc.record({ country: maybe(text), region: maybe(text), city: maybe(text) }),
  network: fc.record({
    asn: maybe(fc.nat(2 ** 32 - 1)),
    organization: maybe(text),
    type: maybe(text),
    cloud_provider: maybe(text),
    cloud_region: maybe(text),
  }),
  company: maybe(fc.record({ name: text, domain: maybe(text), confidence: text, source: text })),
  data: fc.record({ city_built_at: maybe(fc.oneof(date, text)), asn_built_at: maybe(date) }),
  privacy: fc.record({ key_epoch: text, key_scope: fc.constantFrom('node' as const, 'shared' as const) }),
  node: text,
})

const digest = fc.oneof(
  hex(64).map((digits) => `sha256:${digits}`),
  hex(128).map((digits) => `sha512:${digits}`),
)

const fact: fc.Arbitrary<Fact> = fc.record({
  id: hex(32),
  heartbeat: fc.boolean(),
  sessionId: hex(32),
  time: fc.nat(2 ** 47),
  durationMs: fc.nat(86_400_000),
  method: fc.constantFrom('GET' as const, 'HEAD' as const),
  class: fc.constantFrom('manifest' as const, 'blob' as const, 'tags' as const, 'referrers' as const),
  reference: maybe(fc.oneof(digest, text)),
  digest: maybe(digest),
  status: fc.integer({ min: 100, max: 599 }),
  outcome: fc.constantFrom(...outcomes),
  bytesSent: fc.maxSafeNat(),
  offset: fc.maxSafeNat(),
  size: maybe(fc.maxSafeNat()),
  aborted: fc.boolean(),
  context,
})

test('a context comes back as it was', () => {
  fc.assert(
    fc.property(context, (one) => {
      expect(unpackContext(packContext(one).bytes)).toEqual(one)
    }),
    { seed: 7 },
  )
})

test('a fact comes back as it was, under its own session or another', () => {
  const check = (one: Fact, sessionId: string) => {
    const packed = packFact(one, sessionId, 77)
    const key = { id: one.id, heartbeat: one.heartbeat, sessionId }
    const contextOf = (id: number) => (id === 77 ? one.context : undefined)
    expect(unpackFact(packed, key, contextOf)).toEqual({ fact: one, late: false })
    const moved = keepSession(keepSession(packed, sessionId), hexOf(sessionId))
    expect(unpackFact(moved, { ...key, sessionId: hexOf(sessionId) }, contextOf)?.fact).toEqual(one)
  }
  const hexOf = (sessionId: string) => sessionId.split('').reverse().join('')
  fc.assert(
    fc.property(fact, hex(32), (one, other) => {
      check(one, one.sessionId)
      check(one, other)
    }),
    { seed: 7 },
  )
})

test('rows that cannot be read are named, and the others are read', () => {
  const [one, other] = fc.sample(fact, { seed: 7, numRuns: 2 }) as [Fact, Fact]
  const packed = packContext(one.context)
  const row = (of: Fact, value: Buffer) => ({ field: Buffer.from(of.id, 'hex'), value })
  const good = row(one, packFact(one, one.sessionId, packed.id))
  const contexts = new Map([
    [packed.id, packed.bytes],
    [5, Buffer.from([0, 200])],
  ])
  for (const bad of [Buffer.alloc(0), good.value.subarray(0, 9), packFact(other, one.sessionId, 5)]) {
    const session = unpackSession(one.sessionId, {
      rows: [row(other, bad), good],
      contexts,
      held: 2,
      mostFacts: 9,
    })
    expect(session.facts.map(({ fact: { id } }) => id)).toEqual([one.id])
    expect(session.unreadable).toEqual([other.id])
  }
})
