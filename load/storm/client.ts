/** One client of the storm: takes the steps of its kind, retries, resumes and gives up as its plan says. */
import { hash } from 'node:crypto'
import { createRandom } from '../../test/support/random.ts'
import { type Asker, digestOf, type Exchange, type Reply } from './exchange.ts'
import type { StormImage } from './images.ts'
import type { Mode, Step } from './kinds.ts'
import type { Operation } from './plan.ts'
import { failureHeader } from './registry.ts'

/** What should become one package event. */
export type Pull = {
  operation: Operation
  image: StormImage
  userAgent: string
  /** Those that a session counts, in the order of their answers. */
  exchanges: Exchange[]
  /** The token is that of another pull too: `docker pull -a`. */
  isBatch: boolean
}

export type ClientOptions = {
  asker: Asker
  delay(ms: number): Promise<void>
  nodes: number
  /** All requests of an address go to one node; else each to any. */
  byAddress: boolean
  mode: Mode
  /** What every request names as Host. */
  domain: string
  /** Between a pull that was left and the one that goes on with it. */
  continueAfterMs: number
  /** Says that an answer was not as it must be. */
  complain(problem: string): void
}

type Left = { digest: string; bytes: number }
type Extra = { failure?: string; leaveAfter?: number; offset?: number }

const maxTries = 3
const retryAfterMs = 250
const thinkMs = 40
const pollEveryMs = 1500
// Who polls and was refused comes back no sooner: kubelet's back-off begins at 10 s, watchers wait a minute or more.
// Sooner it would be a retry, which is what Waybill takes it for.
const pollAgainMs = 10_000
const patternOfVersion = /\d+\.\d+\.\d+/

/** Of the tool's version that its client has. */
function userAgentOf(userAgent: string, number: number): string {
  const version = patternOfVersion.exec(userAgent)?.[0]
  if (version === undefined) return userAgent
  return userAgent.replaceAll(version, version.replace(/\d+$/, String(number)))
}

function isExpected(status: number, step: Step, reference: string, mode: Mode): boolean {
  if (status === 429 || status === 503) return true
  if (step.challenged) return status === (mode === 'open' ? 200 : 401)
  const isAttached =
    step.what === 'referrers' || (step.what === 'manifests' && reference.startsWith('sha256-'))
  return status === 200 || status === 206 || (isAttached && status === 404)
}

export async function runOperation(operation: Operation, options: ClientOptions): Promise<Pull[]> {
  const { kind, failure } = operation
  const random = createRandom(operation.seed)
  const home = hash('sha1', operation.address, 'buffer').readUInt32BE() % options.nodes
  const userAgent = userAgentOf(kind.userAgent, operation.version)
  const pulls: Pull[] = []
  const tokens = new Map<number, { text: string; number: number }>()
  const had = new Set<string>()
  let tokensTaken = 0
  const isBlob = ({ what, method }: Step): boolean => what === 'blobs' && method === 'GET'
  const resources = kind.groups
    .flat()
    .filter(({ what, challenged }) => what !== 'ping' && what !== 'token' && !challenged)
  const blobs = resources.filter(isBlob)
  const atRoot = failure === 'refused' || blobs.length === 0 || (failure === 'retried' && random.chance(0.5))
  const failing = atRoot ? resources[0] : random.pick(blobs)
  const refusal = `answer=${random.pick([429, 503])}`
  const share = 0.2 + 0.6 * random.next()

  function referenceOf(step: Step, image: StormImage): string {
    const named = (name: string): string => (name === 't' ? image.tag : (image.names.get(name) ?? ''))
    return step.reference
      .replace(/sha256-hex\(\{(.+?)\}\)/, (_, name: string) => named(name).replace(':', '-'))
      .replace(/\{(.+?)\}/, (_, name: string) => named(name))
  }

  async function send(step: Step, reference: string, pull: Pull, extra: Extra = {}): Promise<Reply> {
    const { repository } = pull.image
    const isResource = step.what !== 'ping' && step.what !== 'token'
    const path = {
      ping: '/v2/',
      token: `/token?scope=repository%3A${encodeURIComponent(repository)}%3Apull&service=${options.domain}`,
    }
    const token = step.challenged || step.what === 'token' ? undefined : tokens.get(step.token)
    const node = options.byAddress ? home : random.below(options.nodes)
    const reply = await options.asker.ask({
      ...{ method: step.method, node },
      path: isResource
        ? `/v2/${repository}/${step.what}/${reference}${step.query}`
        : path[step.what as 'ping' | 'token'],
      headers: {
        ...{ Host: options.domain, 'User-Agent': userAgentOf(step.userAgent, operation.version) },
        ...{ 'X-Forwarded-For': operation.address, 'Accept-Encoding': 'gzip' },
        ...(step.what === 'manifests' && { Accept: kind.acceptManifests }),
        ...(token && { Authorization: `Bearer ${token.text}` }),
        ...(extra.failure !== undefined && { [failureHeader]: extra.failure }),
        ...(extra.offset !== undefined && { Range: `bytes=${extra.offset}-` }),
      },
      ...(extra.leaveAfter !== undefined && { leaveAfter: extra.leaveAfter }),
    })
    const { status, body, whole, sentMs, endedMs } = reply
    const what = `${step.method} ${step.what} by ${kind.name}`
    if (!isExpected(status, step, reference, options.mode)) options.complain(`${what}: ${status}`)
    const isWhole = step.method === 'GET' && whole && status === 200
    if (isWhole && reference.startsWith('sha256:') && digestOf(body) !== reference)
      options.complain(`${what}: another body`)
    if (isResource && status !== 401)
      pull.exchanges.push({
        ...{ method: step.method, what: step.what, reference, status, whole, sentMs, endedMs, node },
        ...{
          bytes: body.length,
          offset: status === 206 ? (extra.offset ?? 0) : 0,
          token: token?.number ?? 0,
        },
      })
    return reply
  }

  /** With retries; whether the client can go on. */
  async function take(step: Step, pull: Pull, mayFail: boolean, left: Left | null): Promise<Left | boolean> {
    const reference = referenceOf(step, pull.image)
    const fails = mayFail && step === failing
    const size = pull.image.parts.get(reference)?.size ?? 0
    const bytes = Math.floor(size * share)
    let extra: Extra = left?.digest === reference ? { offset: left.bytes } : {}
    if (fails && atRoot) extra = { failure: refusal }
    else if (fails && failure === 'retried') extra = { failure: refusal }
    else if (fails && (failure === 'cut' || failure === 'resumed')) extra = { failure: `cut=${bytes}` }
    else if (fails) extra = { failure: `hold=${bytes}`, leaveAfter: bytes }
    for (let tries = 1; ; tries++) {
      const reply = await send(step, reference, pull, extra)
      if (step.what === 'token') {
        const { token } = JSON.parse(reply.body.toString()) as { token: string }
        tokens.set(step.token, { text: token, number: ++tokensTaken })
      }
      if (!reply.whole) {
        if (failure !== 'resumed' || tries === maxTries)
          return { digest: reference, bytes: reply.body.length }
        extra = { offset: reply.body.length }
      } else {
        if (reply.status !== 429 && reply.status !== 503) return true
        if (tries === maxTries) return false
        if (failure !== 'refused') extra = extra.failure === refusal ? {} : extra
      }
      await options.delay(retryAfterMs * (0.5 + random.next()))
    }
  }

  /** What was left unfinished, if anything was. */
  async function pullOnce(
    image: StormImage,
    mayFail: boolean,
    extra: { left?: Left; withToken?: boolean; isBatch?: boolean } = {},
  ): Promise<Left | null> {
    const { left = null, withToken = false, isBatch = false } = extra
    const pull: Pull = { operation, image, userAgent, exchanges: [], isBatch }
    pulls.push(pull)
    let unfinished: Left | null = null
    for (const group of kind.groups) {
      const steps = group.filter((step) => {
        const reference = referenceOf(step, image)
        if (withToken && (step.what === 'token' || step.what === 'ping' || step.challenged)) return false
        if (step.what === 'blobs' && had.has(reference)) return false
        if (left && step.what === 'blobs') return reference === left.digest
        // Without an index its manifest has been fetched as the root.
        return image.shape !== 'single' || step.what !== 'manifests' || step.reference !== '{M}'
      })
      await options.delay(thinkMs * random.next())
      const results = await Promise.all(steps.map((step) => take(step, pull, mayFail, left)))
      for (const [index, step] of steps.entries())
        if (step.what === 'blobs' && results[index] === true) had.add(referenceOf(step, image))
      for (const result of results) if (typeof result === 'object') unfinished = result
      if (results.some((result) => result !== true)) break
    }
    return unfinished
  }

  for (let time = 0; time < operation.times; time++) {
    if (time === 1 && failure === 'refused') await options.delay(pollAgainMs * (1 + random.next()))
    else if (time > 0) await options.delay(pollEveryMs * (0.7 + random.next()))
    for (const [index, image] of operation.images.entries()) {
      const isBatch = operation.images.length > 1
      const unfinished = await pullOnce(image, failure !== null && time === 0, {
        withToken: index > 0,
        isBatch,
      })
      if (failure !== 'continued' || unfinished === null) continue
      await options.delay(options.continueAfterMs)
      await pullOnce(image, false, { left: unfinished })
    }
  }
  return pulls
}
