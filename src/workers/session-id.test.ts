import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import { createRecord } from './record.fixture.ts'
import { range } from './ring.fixture.ts'
import { createSessionFinder, sessionOf } from './session-id.ts'

const client = (id: string, tool = 'docker', via: string | null = null) => ({ id, tool, via })

test.each([
  ['docker', null, 'token'],
  ['containerd', null, 'token'],
  ['docker-cli', null, 'client'],
  ['cosign', null, 'client'],
  ['diun', null, 'client'],
  ['go-http-client', 'cache:probable', 'client'],
  ['harbor', 'cache:harbor', 'client'],
] as const)('a token of %s (via %s) names the session: %s', (tool, via, method) => {
  const sessions = [1, 2].map((nonce) =>
    sessionOf(
      createRecord({ hasNonce: true, nonce: new Uint8Array(16).fill(nonce) }),
      null,
      client('1', tool, via),
    ),
  )
  expect(sessions.map(({ session_method }) => session_method)).toEqual([method, method])
  expect(sessions[0]?.session_id === sessions[1]?.session_id).toBe(method === 'client')
})

test('fields of a session do not run into each other', () => {
  const id = (domain: string, repository: string) =>
    sessionOf(createRecord({ repository }), domain, client('1')).session_id
  expect(id('ab', 'c')).not.toBe(id('a', 'bc'))
  expect(id('ab', 'c')).toBe(id('ab', 'c'))
})

test('the id is the hash of the documented layout, whatever the fields hold', () => {
  const text = fc.string({ unit: 'binary', maxLength: 255 })
  const nonces = fc.uint8Array({ minLength: 16, maxLength: 16 })
  fc.assert(
    fc.property(fc.boolean(), nonces, text, text, text, (hasNonce, nonce, domain, repository, clientId) => {
      const name = `a${repository}`
      const record = createRecord({ hasNonce, nonce, repository: name })
      const fields = [hasNonce ? nonce : clientId, domain, name].flatMap((field) => {
        const bytes = Buffer.from(field)
        const length = Buffer.alloc(4)
        length.writeUInt32LE(bytes.length)
        return [length, bytes]
      })
      const input = Buffer.concat([Uint8Array.of(1, hasNonce ? 1 : 2), ...fields])
      expect(sessionOf(record, domain, client(clientId))).toEqual({
        session_id: createHash('sha256').update(input).digest('hex').slice(0, 32),
        session_method: hasNonce ? 'token' : 'client',
      })
    }),
  )
})

test.each(range(5))('seed %i: found once for a batch, a session has the name it has alone', (seed) => {
  const { next: random } = createRandom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const sessions = createSessionFinder(8)
  for (const _ of range(400)) {
    const record = createRecord({
      hasNonce: random() < 0.6,
      nonce: new Uint8Array(16).fill(below(12)),
      repository: ['acme/app', 'acme/other', ''][below(3)]!,
      class: random() < 0.1 ? 'ping' : 'blob',
    })
    const domain = [null, 'a.example.test', 'b.example.test'][below(3)]!
    const who = client(String(below(3)), ['docker', 'cosign'][below(2)])
    expect(sessions.find(record, domain, who)).toEqual(sessionOf(record, domain, who))
    if (below(100) === 0) sessions.clear()
  }
})
