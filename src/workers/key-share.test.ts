import { createHmac, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createKeyCarry } from './key-carry.ts'
import { createKeyReader } from './key-reader.ts'
import {
  createKeyShare,
  type KeyStore,
  parseWrappingKeys,
  storeKeyOf,
  unwrapKey,
  wrapKey,
} from './key-share.ts'
import { createKeyring } from './keyring.ts'
import { createPseudonymizer } from './pseudonym.ts'

const hour = 3_600_000
const day = 24 * hour
const noon = Date.UTC(2026, 10, 21, 12)
const midnight = Date.UTC(2026, 10, 22)
const wrappingKeys = [randomBytes(32)]

function createStore(clock: { time: number }) {
  const values = new Map<string, { value: string; expiresAtMs: number }>()
  const store: KeyStore & { fails: boolean; values: typeof values; aheadMs: number } = {
    fails: false,
    aheadMs: 0,
    values,
    async setIfAbsent(key, value, expiresAtMs) {
      if (store.fails) throw new Error('away')
      const known = values.get(key)
      if (known && known.expiresAtMs > clock.time) return known.value
      values.set(key, { value, expiresAtMs })
      return value
    },
    async time() {
      if (store.fails) throw new Error('away')
      return clock.time + store.aheadMs
    },
  }
  return store
}

async function startNode(
  clock: { time: number },
  store: KeyStore,
  options: { keys?: Uint8Array[]; rotationMs?: number } = {},
) {
  const warnings: unknown[] = []
  const alone: string[] = []
  const share = createKeyShare({
    store,
    wrappingKeys: options.keys ?? wrappingKeys,
    warn: (error) => warnings.push(error),
    now: () => clock.time,
  })
  const ring = await createKeyring({
    share,
    now: () => clock.time,
    onAlone: (epoch) => alone.push(epoch),
    ...(options.rotationMs === undefined ? {} : { rotationMs: options.rotationMs }),
  })
  const reader = createKeyReader(ring.memory)
  const print = (time = clock.time) => createHmac('sha256', reader.keyFor(time).key).update('x').digest('hex')
  return { ring, reader, print, warnings, alone }
}

test('nodes that start at the same time have one key, and the store has only what it cannot read', async () => {
  const clock = { time: noon }
  const store = createStore(clock)
  const [a, b] = await Promise.all([startNode(clock, store), startNode(clock, store)])
  expect(a.print()).toBe(b.print())
  expect([a.reader.keyFor(noon).scope, b.reader.keyFor(noon).epoch]).toEqual(['shared', '2026-11-21'])
  const raw = Buffer.from(a.reader.keyFor(noon).key)
  for (const { value, expiresAtMs } of store.values.values()) {
    expect(Buffer.from(value.slice(5), 'base64url').includes(raw)).toBe(false)
    expect(expiresAtMs).toBe(midnight + hour / 2)
  }
})

test('a store that is away gives a key of the node alone for that epoch, and a shared one for the next', async () => {
  const clock = { time: noon }
  const store = createStore(clock)
  const other = await startNode(clock, store)
  store.fails = true
  const node = await startNode(clock, store)
  expect([node.reader.keyFor(noon).scope, node.alone, node.warnings.length]).toEqual([
    'node',
    ['2026-11-21'],
    1,
  ])
  expect(node.print()).not.toBe(other.print())
  store.fails = false
  clock.time = noon + hour
  await node.ring.tick()
  // The epoch goes on as it began: its sessions would be cut in two.
  expect(node.reader.keyFor(clock.time).scope).toBe('node')
  clock.time = midnight - hour / 6
  await Promise.all([node.ring.tick(), other.ring.tick()])
  expect(node.reader.keyFor(midnight).scope).toBe('shared')
  expect(node.print(midnight)).toBe(other.print(midnight))
})

test('a store that is away before the turn is asked again until shortly before it', async () => {
  const clock = { time: noon }
  const store = createStore(clock)
  const node = await startNode(clock, store)
  store.fails = true
  clock.time = midnight - hour / 6
  await node.ring.tick()
  expect(node.reader.keyFor(midnight).epoch).toBe('2026-11-21')
  clock.time = midnight - 60_000
  await node.ring.tick()
  expect(node.reader.keyFor(midnight)).toMatchObject({ epoch: '2026-11-22', scope: 'node' })
})

test('a node with another wrapping key stays alone and says why, without a word of any key', async () => {
  const clock = { time: noon }
  const store = createStore(clock)
  await startNode(clock, store)
  const stranger = await startNode(clock, store, { keys: [randomBytes(32)] })
  expect(stranger.reader.keyFor(noon).scope).toBe('node')
  expect(String(stranger.warnings[0])).toMatch(/no key of privacy.keyFile opens/)
})

test('wrapping keys rotate: the new one first, the old one still opens', async () => {
  const clock = { time: noon }
  const store = createStore(clock)
  const old = await startNode(clock, store)
  const rotated = await startNode(clock, store, { keys: [randomBytes(32), ...wrappingKeys] })
  expect(rotated.print()).toBe(old.print())
})

test('a wrapped key is good for its own place alone', () => {
  const key = randomBytes(32)
  const place = storeKeyOf('2026-11-21', day)
  const text = wrapKey(key, wrappingKeys[0]!, place)
  expect(unwrapKey(text, wrappingKeys[0]!, place)).toEqual(key)
  expect(unwrapKey(text, wrappingKeys[0]!, storeKeyOf('2026-11-22', day))).toBeNull()
  expect(unwrapKey('', wrappingKeys[0]!, place)).toBeNull()
  expect(unwrapKey(text.slice(0, -3), wrappingKeys[0]!, place)).toBeNull()
})

test('epochs follow the clock of the store, so that a node whose clock is wrong changes with the others', async () => {
  const clock = { time: midnight - 5000 }
  const store = createStore(clock)
  store.aheadMs = 10_000
  const node = await startNode(clock, store)
  expect(node.reader.keyFor(clock.time).epoch).toBe('2026-11-22')
})

test.each([
  [hour, '2026-11-21T12', '2026-11-21T13', hour / 2],
  [day, '2026-11-21', '2026-11-22', hour / 2],
  // Weeks begin on Monday.
  [7 * day, '2026-11-16', '2026-11-23', hour / 2],
])('rotation of %i ms: epoch %s, then %s', async (rotationMs, epoch, next, graceMs) => {
  const clock = { time: noon + 1 }
  const ring = await createKeyring({ rotationMs, now: () => clock.time })
  const reader = createKeyReader(ring.memory)
  expect(reader.keyFor(clock.time).epoch).toBe(epoch)
  const turn = clock.time + reader.epochEndsInMs(clock.time)
  const old = Buffer.from(reader.keyFor(clock.time).key)
  clock.time = turn
  await ring.tick()
  expect(reader.keyFor(turn).epoch).toBe(next)
  expect(reader.keyBefore(turn + graceMs - 1)?.epoch).toBe(epoch)
  expect(reader.keyBefore(turn + graceMs)).toBeNull()
  // After rotation and grace the key is nowhere in the memory that threads share.
  expect(Buffer.from(ring.memory).includes(old)).toBe(true)
  clock.time = turn + graceMs
  await ring.tick()
  expect(Buffer.from(ring.memory).includes(old)).toBe(false)
  ring.close()
})

const london = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 81, 2, 69, 173])
const boxford = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 2, 125, 160, 217])

test('a client that is active over the turn keeps its ids until it falls idle; one that was not does not', async () => {
  const clock = { time: noon }
  const ring = await createKeyring({ now: () => clock.time })
  const idleMs = 60_000
  // Two workers, which know of each other's clients.
  const [first, second] = [0, 1].map(() =>
    createPseudonymizer(createKeyReader(ring.memory), createKeyCarry(ring.memory, idleMs)),
  ) as [ReturnType<typeof createPseudonymizer>, ReturnType<typeof createPseudonymizer>]
  first(boxford, 'docker', midnight - 2 * idleMs)
  const before = first(london, 'docker', midnight - 5000)
  clock.time = midnight
  await ring.tick()
  expect(second(london, 'docker', midnight + 5000)).toEqual(before)
  // Seen again, it goes on; the other program on that machine, and the other machine, are new.
  expect(first(london, 'docker', midnight + 60_000)).toEqual(before)
  expect(first(london, 'helm', midnight + 60_000).epoch).toBe('2026-11-22')
  expect(first(boxford, 'docker', midnight + 5000).epoch).toBe('2026-11-22')
  const later = first(london, 'docker', midnight + 60_000 + idleMs + 2000)
  expect([later.epoch, later.clientId === before.clientId]).toEqual(['2026-11-22', false])
  // Nothing of it is left when the key is gone.
  clock.time = midnight + hour / 2
  await ring.tick()
  expect(new Int32Array(ring.memory).subarray(16 + 64).every((word) => word === 0)).toBe(true)
  expect(first(london, 'docker', clock.time).epoch).toBe('2026-11-22')
  ring.close()
})

test.each([
  ['ab'.repeat(32), 1],
  [`# old\n${'ab'.repeat(32)}\n${'CD'.repeat(32)}\n`, 2],
])('a file of wrapping keys', (text, count) => expect(parseWrappingKeys(text)).toHaveLength(count))

test.each(['', 'secret', 'ab'.repeat(31), `${'ab'.repeat(32)}\nx`])(
  '%j is no file of wrapping keys',
  (text) => {
    expect(parseWrappingKeys(text)).toBeNull()
  },
)
