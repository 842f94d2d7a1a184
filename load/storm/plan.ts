/** What happens in a storm: who pulls what, when, from where, and what goes wrong. The seed decides all of it. */

import { createRandom, type Random } from '../../test/support/random.ts'
import type { StormImage } from './images.ts'
import type { Kind } from './kinds.ts'

/**
 * `refused`: the root is answered with an error until the client gives up. `retried`: one request fails once.
 * `cut`: a blob breaks off and the client gives up; `resumed`: and it asks for the rest by a range; `aborted`: the
 * client leaves in the middle; `continued`: and a new pull fetches the rest.
 */
export const failures = ['refused', 'retried', 'cut', 'resumed', 'aborted', 'continued'] as const
export type Failure = (typeof failures)[number]

export type Operation = {
  number: number
  kind: Kind
  /** More than one: all with the token of the first, one after another. */
  images: StormImage[]
  /** How often it is done. */
  times: number
  address: string
  /** After the start of the storm. */
  startMs: number
  failure: Failure | null
  /** In place of the last number of its version. */
  version: number
  /** Its own random numbers: what it does must not depend on what else runs. */
  seed: number
}

export type PlanOptions = {
  seed: number
  /** Package events that should come of it. */
  pulls: number
  perSecond: number
  /** Share of operations in which something goes wrong. */
  failures: number
  /** Clients behind one address. */
  natGroup: number
  /** How many versions of each tool are in use. */
  versions: number
  kinds: readonly Kind[]
  images: readonly StormImage[]
}

const polls = 3
// A cache is a server of its own, whose pulls nobody could tell from those of another cache.
const firstCache = 0x80_0000
const parallelShare = 0.05
const batchShare = 0.02
const statuses = /^(refused|retried)$/
// Those behind one address are busy together, so that their pulls overlap.
const groupSeconds = 15
const repositoriesOfGroup = 3

/** Documentation addresses (RFC 5737, RFC 3849); of IPv6 a /64 is one endpoint. */
function addressOf(index: number): string {
  if (index < 250) return `203.0.113.${index + 1}`
  return `2001:db8:${(index >>> 16).toString(16)}:${(index & 0xffff).toString(16)}::1`
}

function weighted(random: Random, kinds: readonly Kind[]): Kind {
  let left = random.next() * kinds.reduce((sum, { weight }) => sum + weight, 0)
  const found = kinds.find(({ weight }) => {
    left -= weight
    return left < 0
  })
  return found ?? random.pick(kinds)
}

/** A few are pulled often and many seldom. */
function popular<Value>(random: Random, values: readonly Value[]): Value {
  return values[Math.floor(values.length * random.next() ** 2)] as Value
}

/** Kinds that ask for more than one platform, or what is attached, need an image that has them. */
function suits(kind: Kind, { shape, names }: StormImage): boolean {
  if ((kind.image === 'helm') !== (shape === 'helm')) return false
  const named = kind.groups.flat().flatMap(({ reference }) => /\{(.+?)\}/.exec(reference)?.[1] ?? [])
  return named.every((name) => name === 't' || names.has(name))
}

export function makePlan(options: PlanOptions): Operation[] {
  const { pulls, natGroup, images } = options
  const random = createRandom(options.seed)
  const repositories = [...new Set(images.map(({ repository }) => repository))]
  const durationMs = (pulls / options.perSecond) * 1000
  const plan: Operation[] = []
  let events = 0
  let clients = 0
  let group = { address: '', startMs: 0, repositories: [] as string[] }

  while (events < pulls) {
    if (clients % natGroup === 0) {
      const address = addressOf(clients / natGroup)
      const own = Array.from({ length: repositoriesOfGroup }, () => popular(random, repositories))
      group = {
        address,
        startMs: random.next() * durationMs,
        repositories: natGroup > 1 ? own : repositories,
      }
    }
    clients += 1
    const kind = weighted(random, options.kinds)
    const near = images.filter(({ repository }) => group.repositories.includes(repository))
    const suitable = near.filter((image) => suits(kind, image))
    const image = popular(random, suitable.length > 0 ? suitable : images.filter((one) => suits(kind, one)))
    const siblings = images.filter((one) => one.repository === image.repository && one !== image)
    const within = natGroup > 1 ? Math.min(groupSeconds * 1000, durationMs) : 0
    const operation: Operation = {
      ...{ number: plan.length, kind, images: [image], times: 1, failure: null },
      address: kind.isCache ? addressOf(firstCache + plan.length) : group.address,
      startMs: Math.min(durationMs, group.startMs + random.next() * within),
      version: random.below(options.versions),
      seed: random.below(2 ** 32),
    }
    // Each choice is made whether it counts or not: the rest of the plan then depends on fewer of them.
    const wrong = random.chance(options.failures)
    const failure = random.pick(failures)
    const together = random.next()
    plan.push(operation)
    if (kind.polls) operation.times = polls
    const blobs = kind.groups.flat().filter(({ what, method }) => what === 'blobs' && method === 'GET')
    if (wrong) operation.failure = blobs.length > 0 || statuses.test(failure) ? failure : 'retried'
    else if (!kind.polls && !kind.isCache && siblings.length > 0 && kind.name.includes('cold')) {
      const other = random.pick(siblings)
      if (together < parallelShare) {
        plan.push({ ...operation, number: plan.length, images: [other], seed: random.below(2 ** 32) })
        events += 1
      } else if (together < parallelShare + batchShare) {
        operation.images.push(other)
        events += 1
      }
    }
    events += operation.times + (operation.failure === 'continued' ? 1 : 0)
  }
  return plan.sort((a, b) => a.startMs - b.startMs)
}
