import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findClient } from './client-steps.ts'
import { createDraft, type EventDraft } from './enrichment-steps.ts'
import { createEventLines } from './event-line.ts'
import { createRecord, london, noon, services } from './record.fixture.ts'

const textFields = [
  'domain',
  'repository',
  'reference',
  'digest',
  'range',
  'upstream',
  'upstream_repository',
  'redirect_host',
] as const
const numberFields = ['bytes_sent', 'offset', 'size', 'duration_ms', 'first_byte_ms'] as const

function createEvent(changes: Partial<EventDraft> = {}): EventDraft {
  const draft = createDraft('0'.repeat(32), createRecord(), 'node-1')
  return { ...draft, ...findClient(london, 'docker/28.1.1', noon, services), ...changes }
}
const lineOf = (lines: ReturnType<typeof createEventLines>, event: EventDraft) => lines.write(event).join('')

test('a line is what JSON.stringify makes of the event, whatever it holds', () => {
  const text = fc.option(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('a"b', '\\', '\u007f', 'é')))
  const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.nat(), fc.constant(-0))
  const changes = fc.record({
    ...Object.fromEntries(textFields.map((name) => [name, text])),
    ...Object.fromEntries(numberFields.map((name) => [name, number])),
    session_id: fc.constantFrom(null, 'f'.repeat(32)),
    session_method: fc.constantFrom(null, 'token' as const),
    node: fc.constantFrom('node-1', 'n"2'),
  })
  const lines = createEventLines()
  const client = createEvent()
  fc.assert(
    fc.property(changes, (changed) => {
      const event = { ...client, ...(changed as Partial<EventDraft>) }
      expect(lineOf(lines, event)).toBe(JSON.stringify(event))
    }),
  )
})

test('what belongs to the client is not taken from another event of it where that says something else', () => {
  const lines = createEventLines()
  const first = createEvent()
  lines.write(first)
  const geo = { country: 'FR', region: null, city: null }
  for (const changes of [
    { geo },
    { network: { ...first.network, asn: 64500 } },
    { company: { name: 'Example', domain: null, confidence: 'low', source: 'asn' } },
    { privacy: { key_epoch: '2026-11-22', key_scope: 'node' as const } },
    { data: { city_built_at: null, asn_built_at: null } },
    { node: 'node-2' },
  ]) {
    const event = { ...first, ...changes }
    expect(lineOf(lines, event)).toBe(JSON.stringify(event))
  }
})
