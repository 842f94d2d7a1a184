import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isMappedIpv4 } from '../geo/address.ts'
import { createPseudonymizer } from './pseudonym.ts'

const secret = Buffer.alloc(32, 7)
const keys = {
  keyFor: () => ({ key: secret, epoch: '2026-11-21', scope: 'node' as const }),
  keyBefore: () => null,
  epochEndsInMs: () => 0,
}
const pseudonymize = createPseudonymizer(keys)

function mapped(...octets: number[]): Uint8Array {
  return Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...octets])
}

function documentation(...tail: number[]): Uint8Array {
  const address = new Uint8Array(16)
  address.set([0x20, 0x01, 0x0d, 0xb8])
  address.set(tail, 4)
  return address
}

test('the ids are the MACs of the documented layout', () => {
  const address = mapped(192, 0, 2, 7)
  const family = createHash('sha256').update('docker').digest()
  const expected = (...parts: Uint8Array[]) =>
    createHmac('sha256', secret).update(Buffer.concat(parts)).digest('hex').slice(0, 32)
  expect(pseudonymize(address, 'docker', 0)).toEqual({
    endpointId: expected(Uint8Array.from([1, 1]), address),
    clientId: expected(Uint8Array.from([1, 2]), address, family),
    epoch: '2026-11-21',
    scope: 'node',
  })
})

test('one endpoint has a client id for each family, and they say nothing of each other', () => {
  const docker = pseudonymize(mapped(192, 0, 2, 7), 'docker', 0)
  const helm = pseudonymize(mapped(192, 0, 2, 7), 'helm', 0)
  expect(helm.endpointId).toBe(docker.endpointId)
  expect(new Set([docker.clientId, helm.clientId, docker.endpointId]).size).toBe(3)
})

test('IPv4 addresses differ in their last bit, IPv6 addresses only above /64', () => {
  const id = (address: Uint8Array) => pseudonymize(address, 'docker', 0).endpointId
  expect(id(mapped(192, 0, 2, 6))).not.toBe(id(mapped(192, 0, 2, 7)))
  expect(id(documentation(0, 0, 0, 1, 1))).toBe(id(documentation(0, 0, 0, 1, 2, 3)))
  expect(id(documentation(0, 0, 0, 1))).not.toBe(id(documentation(0, 0, 0, 2)))
})

test('nothing of the client before is left for the next', () => {
  const fresh = createPseudonymizer(keys)(documentation(1), 'helm', 0)
  pseudonymize(mapped(203, 0, 113, 255), 'docker', 0)
  expect(pseudonymize(documentation(1), 'helm', 0)).toEqual(fresh)
})

test('the address itself is only read', () => {
  const address = mapped(192, 0, 2, 7)
  pseudonymize(address, 'docker', 0)
  expect(address).toEqual(mapped(192, 0, 2, 7))
})

test('any address, family and key: the MACs that Node makes, also after the key was forgotten', () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  let current: Uint8Array = secret
  const pseudonymizer = createPseudonymizer({
    ...keys,
    keyFor: () => ({ key: current, epoch: '2026-11-21', scope: 'node' }),
  })
  fc.assert(
    fc.property(bytes(16), bytes(32), fc.string(), fc.boolean(), (address, key, family, forgets) => {
      current = key
      const significant = Buffer.alloc(16)
      significant.set(isMappedIpv4(address) ? address : address.subarray(0, 8))
      const mac = (...parts: Uint8Array[]) =>
        createHmac('sha256', key).update(Buffer.concat(parts)).digest('hex').slice(0, 32)
      if (forgets) pseudonymizer.forget()
      const { endpointId, clientId } = pseudonymizer(address, family, 0)
      expect(endpointId).toBe(mac(Uint8Array.of(1, 1), significant))
      const familyHash = createHash('sha256').update(family).digest()
      expect(clientId).toBe(mac(Uint8Array.of(1, 2), significant, familyHash))
    }),
  )
})
