import { afterEach, expect, test, vi } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import { createClientMemory } from './client-memory.ts'
import { type ClientServices, findClient } from './client-steps.ts'
import { createKeyCarry } from './key-carry.ts'
import { createKeyReader } from './key-reader.ts'
import { createKeyring } from './keyring.ts'
import { createPseudonymizer } from './pseudonym.ts'
import { london, noon, services } from './record.fixture.ts'
import { range } from './ring.fixture.ts'

afterEach(() => vi.useRealTimers())

const docker = 'docker/28.1.1'
const hourMs = 3_600_000
const idleMs = 60_000

/** A memory over the services of a worker whose key changes each hour, and how often each address was looked at. */
async function start(changes: Partial<Parameters<typeof createClientMemory>[0]> = {}) {
  let nowMs = noon
  const keyring = await createKeyring({ now: () => nowMs, rotationMs: hourMs })
  const reader = createKeyReader(keyring.memory)
  const pseudonymizer = createPseudonymizer(reader, createKeyCarry(keyring.memory, idleMs))
  let looks = 0
  const count: typeof pseudonymizer = Object.assign(
    (...client: Parameters<typeof pseudonymizer>) => {
      looks++
      return pseudonymizer(...client)
    },
    { periodOf: pseudonymizer.periodOf, forget: pseudonymizer.forget },
  )
  const own: ClientServices = { ...services, pseudonymize: count }
  const memory = createClientMemory({ services: own, ...changes })
  return {
    memory,
    services: own,
    looks: () => looks,
    async goTo(timeMs: number) {
      nowMs = timeMs
      await keyring.tick()
    },
    /** What one batch at that time finds out about the client, and how often it had to look. */
    batch(addresses: readonly Uint8Array[], userAgent = docker) {
      const before = looks
      memory.begin(nowMs)
      const found = addresses.map((address) => memory.find(address, userAgent))
      memory.end()
      return { found, looks: looks - before }
    },
    close() {
      memory.close()
      reader.close()
      keyring.close()
    },
  }
}

test('a client is looked up once in a minute, and then again', async () => {
  vi.useFakeTimers()
  const scene = await start()
  const first = scene.batch([london, london])
  expect(first.looks).toBe(1)
  vi.advanceTimersByTime(59_000)
  expect(scene.batch([london])).toEqual({ found: [first.found[0]], looks: 0 })
  expect(scene.batch([london], 'Helm/3.15.0').looks).toBe(1)
  vi.advanceTimersByTime(1000)
  expect(scene.batch([london]).looks).toBe(1)
  scene.close()
})

test.each(range(4))(
  'seed %i: what is remembered is what a look would find, of more than it has room for',
  async (seed) => {
    const scene = await start({ maxClients: 40 })
    const { next: random } = createRandom(seed)
    const below = (limit: number) => Math.floor(random() * limit)
    for (const _ of range(60)) {
      const address = new Uint8Array(16)
      if (random() < 0.7) address.set([255, 255, 81, 2, 69, 160 + below(16)], 10)
      else address.set([0x20, 0x01, 0x02, 0x18, 0, 0, 0, below(4), 0, 0, 0, 0, 0, 0, 0, below(2)])
      const userAgent = ['docker/28.1.1', 'docker/27.0.0', 'Helm/3.15.0', ''][below(4)]!
      const { found } = scene.batch([address], userAgent)
      expect(found).toEqual([findClient(address, userAgent, noon, scene.services)])
    }
    scene.close()
  },
)

test('the next key makes other pseudonyms at once', async () => {
  const scene = await start()
  const [before] = scene.batch([london]).found
  await scene.goTo(noon + hourMs)
  const [after] = scene.batch([london]).found
  expect(after?.client.id).not.toBe(before?.client.id)
  expect(after?.privacy.key_epoch).toBe('2026-11-21T13')
  scene.close()
})

test('shortly before the turn each batch looks, so that who pulls then keeps the old pseudonym for as long', async () => {
  const scene = await start()
  const other = Uint8Array.from(london, (byte, place) => (place === 15 ? 170 : byte))
  // The other was remembered before, and asks no more.
  const [known] = scene.batch([london, other]).found
  await scene.goTo(noon + hourMs - 50_000)
  expect(scene.batch([london, london]).looks).toBe(1)
  await scene.goTo(noon + hourMs - 10_000)
  expect(scene.batch([london]).looks).toBe(1)
  for (const seconds of [30, 80, 130]) {
    await scene.goTo(noon + hourMs + seconds * 1000)
    const { found, looks } = scene.batch([london, london])
    expect([found[0]?.client.id, looks]).toEqual([known?.client.id, 1])
  }
  // It did not ask in the last minute; its new pseudonym is remembered as any.
  const [moved] = scene.batch([other]).found
  expect(moved?.privacy.key_epoch).toBe('2026-11-21T13')
  expect(scene.batch([other])).toEqual({ found: [moved], looks: 0 })
  // Idle since 130: another client from now on.
  await scene.goTo(noon + hourMs + 195_000)
  const [idle] = scene.batch([london]).found
  expect(idle?.client.id).not.toBe(known?.client.id)
  scene.close()
})

test('what is forgotten is looked up in what there is now', async () => {
  const scene = await start()
  expect(scene.batch([london]).found[0]?.geo.country).toBe('GB')
  const { geo } = services
  scene.services.geo = { ...geo, geo: () => ({ country: 'SE', region: null, city: null }) }
  scene.memory.forget()
  expect(scene.batch([london]).found[0]?.geo.country).toBe('SE')
  scene.close()
})
