import { expect, test } from 'vitest'
import { createTokens, tokenLifetimeSeconds } from './tokens.ts'

const first = '11'.repeat(32)
const second = '22'.repeat(32)
const now = Date.UTC(2026, 0, 1)

test('a token holds for its host and its lifetime, with one nonce', () => {
  const tokens = createTokens([first])
  const header = `Bearer ${tokens.sign('cr.example.io', now)}`
  const verdict = tokens.verify(header, 'cr.example.io', now)
  expect(verdict).toMatchObject({ valid: true })
  expect(verdict.valid && verdict.nonce).toHaveLength(16)
  expect(tokens.verify(header, 'cr.example.io', now + 1000)).toEqual(verdict)
  expect(tokens.verify(header, 'other.example.io', now).valid).toBe(false)
  expect(tokens.verify(header, 'cr.example.io', now + tokenLifetimeSeconds * 1000).valid).toBe(false)
})

test('every token has a nonce of its own', () => {
  const tokens = createTokens([first])
  const nonces = new Set<string>()
  for (let count = 0; count < 1000; count++) {
    const verdict = tokens.verify(`Bearer ${tokens.sign('h', now)}`, 'h', now)
    if (verdict.valid && verdict.nonce) nonces.add(Buffer.from(verdict.nonce).toString('hex'))
  }
  expect(nonces.size).toBe(1000)
})

test('tokens survive a restart and a rotation of keys', () => {
  const header = `Bearer ${createTokens([first]).sign('h', now)}`
  const original = createTokens([first]).verify(header, 'h', now)
  expect(createTokens([second, first]).verify(header, 'h', now)).toEqual(original)
})

test('a token of an unknown key is served without a nonce', () => {
  const header = `Bearer ${createTokens([first]).sign('h', now)}`
  expect(createTokens([second]).verify(header, 'h', now)).toEqual({ valid: true, nonce: null })
})

test('no changed character of payload or mac passes', () => {
  const tokens = createTokens([first])
  const token = tokens.sign('h', now)
  const payloadStart = token.indexOf('.', 5) + 1
  for (let at = payloadStart; at < token.length; at++) {
    if (token[at] === '.') continue
    const changed = token.slice(0, at) + (token[at] === 'A' ? 'Q' : 'A') + token.slice(at + 1)
    expect([at, tokens.verify(`Bearer ${changed}`, 'h', now).valid]).toEqual([at, false])
  }
})

test.each(['', 'Bearer', 'Bearer x', 'Basic Og==', 'Bearer wb1.a.b.c', 'Bearer eyJhbGciOiJub25lIn0.e30.'])(
  'refuses %s',
  (header) => {
    expect(createTokens([first]).verify(header, 'h', now).valid).toBe(false)
  },
)

test('a value much longer than a token is none, whoever signed what is in it', () => {
  const [, key, payload] = createTokens([first]).sign('h', now).split('.')
  const unknown = createTokens([second])
  const value = (length: number) => `Bearer wb1.${key}.${payload}.${'x'.repeat(length)}`
  expect(unknown.verify(value(43), 'h', now)).toEqual({ valid: true, nonce: null })
  expect(unknown.verify(value(1000), 'h', now).valid).toBe(false)
})

test('other keys: what is under way goes on, and what was unknown becomes known', () => {
  const tokens = createTokens([first])
  const before = `Bearer ${tokens.sign('h', now)}`
  const foreign = `Bearer ${createTokens([second]).sign('h', now)}`
  expect(tokens.verify(foreign, 'h', now)).toEqual({ valid: true, nonce: null })
  tokens.setKeys([second, first])
  expect(tokens.verify(before, 'h', now)).toMatchObject({ valid: true, nonce: expect.any(Uint8Array) })
  expect(tokens.verify(foreign, 'h', now)).toMatchObject({ valid: true, nonce: expect.any(Uint8Array) })
  expect(tokens.sign('h', now).split('.')[1]).toBe(foreign.split('.')[1])
})
