import { expect, test } from 'vitest'
import { createAdmission, createOpenRate } from './admission.ts'
import { type Address, parseAddress } from './client-address.ts'

function client(number: number): Address {
  return parseAddress(`2001:db8::${(number >> 8).toString(16)}:${(number & 0xff).toString(16)}`) as Address
}

/** A small generator of our own, so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

test('a client gets as many places as the limit says, and others lose none', () => {
  const admission = createAdmission(3)
  const tickets = [1, 2, 3].map(() => admission.tryEnter(client(1)))
  expect(tickets.every((ticket) => ticket >= 0)).toBe(true)
  expect(admission.tryEnter(client(1))).toBe(-1)
  expect(admission.tryEnter(client(2))).toBeGreaterThanOrEqual(0)
  admission.leave(tickets[0] as number)
  expect(admission.tryEnter(client(1))).toBeGreaterThanOrEqual(0)
  expect(admission.tryEnter(client(1))).toBe(-1)
})

test('the same as a table that keeps every address', () => {
  const random = seeded(1)
  const limit = 5
  const admission = createAdmission(limit)
  const twin = new Map<number, number[]>()
  for (let step = 0; step < 50_000; step++) {
    // So few that two of them share both their cells in less than one run of 10,000, whatever the key.
    const number = Math.floor(random() * 40)
    const held = twin.get(number) ?? []
    twin.set(number, held)
    if (random() < 0.45) {
      const ticket = held.pop()
      if (ticket !== undefined) admission.leave(ticket)
    } else {
      const ticket = admission.tryEnter(client(number))
      expect(ticket >= 0).toBe(held.length < limit)
      if (ticket >= 0) held.push(ticket)
    }
  }
  for (const held of twin.values()) for (const ticket of held.splice(0)) admission.leave(ticket)
  for (const number of twin.keys()) {
    for (let place = 0; place < limit; place++) expect(admission.tryEnter(client(number))).not.toBe(-1)
    expect(admission.tryEnter(client(number))).toBe(-1)
  }
})

test('opened connections count for one to two windows', () => {
  const rate = createOpenRate(2, 1000)
  expect([0, 1, 2].map((nowMs) => rate.exceeds(client(1), nowMs))).toEqual([false, false, true])
  expect(rate.exceeds(client(2), 3)).toBe(false)
  expect(rate.exceeds(client(1), 1500)).toBe(true)
  expect(rate.exceeds(client(1), 2600)).toBe(false)
  expect(rate.exceeds(client(1), 9000)).toBe(false)
})
