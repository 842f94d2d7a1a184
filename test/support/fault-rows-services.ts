/** Faults of upstreams, of Redis and of Kafka. */
import { Kafka, logLevel } from 'kafkajs'
import type { FaultRow, RunningScene } from './fault-rows.ts'
import { startOneManifest, startScene } from './fault-scene.ts'
import { createGate } from './fault-upstream.ts'
import { startKafka } from './kafka.ts'
import { freePort } from './processes.ts'
import { startRedis } from './redis.ts'

type ServiceRow = Omit<FaultRow, 'exitCode' | 'ready'> & {
  ready: { dependency: string; states?: readonly string[]; why: readonly string[] }
}

function service({ ready, ...row }: ServiceRow): FaultRow {
  const states = ready.states ?? ['degraded', 'down']
  return { ...row, exitCode: null, ready: { code: 200, status: 'serving', ...ready, states } }
}

const isDown = (name: string): FaultRow['metric'] => ({
  name: 'waybill_dependency_up',
  labels: { name },
  value: '0',
})
const upstreamErrors = (reason: string): FaultRow['metric'] => ({
  name: 'waybill_upstream_errors_total',
  labels: { reason },
  value: '> 0',
})
const fails = { level: 'warn', msg: 'a dependency fails' } as const
const down = { level: 'warn', msg: 'a dependency is down' } as const
const upstreamName = 'upstream:127.0.0.1:…'

async function createTopics(brokers: string[], topics: readonly string[]): Promise<void> {
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  await admin.createTopics({ topics: topics.map((topic) => ({ topic })), waitForLeaders: true })
  await admin.disconnect()
}

const topicNames = ['waybill.events', 'waybill.requests', 'waybill.manifests', 'waybill.dead-letters']

export const serviceRows: readonly FaultRow[] = [
  service({
    fault: 'An upstream cannot be reached',
    clients: 502,
    ready: { dependency: upstreamName, why: ['connect'] },
    log: [fails, down],
    metric: upstreamErrors('connect'),
    async arrange() {
      const upstream = await startOneManifest()
      await upstream.stop()
      return startScene({ upstream })
    },
  }),
  service({
    fault: 'An upstream does not answer in time',
    clients: 504,
    ready: { dependency: upstreamName, why: ['timeout_first_byte'] },
    log: [fails, down],
    metric: upstreamErrors('timeout_first_byte'),
    async arrange() {
      const upstream = await startOneManifest()
      const gate = createGate()
      upstream.answer('/v2/app/manifests/v1', { headAfter: gate.opened, status: 404 })
      const scene = await startScene({ upstream, settings: 'limits: {firstByteTimeout: 300ms}\n' })
      return { ...scene, recover: gate.release }
    },
  }),
  service({
    fault: 'Redis cannot be reached at the start',
    clients: 200,
    ready: { dependency: 'redis', why: ['connect', 'timeout'] },
    log: [
      down,
      {
        level: 'warn',
        msg: "the token key that nodes share was not read from Redis: this node's own is used",
      },
    ],
    metric: isDown('redis'),
    async arrange() {
      const redis = await startRedis()
      const { restart, back } = leave(redis)
      const scene = await startScene({ args: ['--redis', redis.url] })
      return withService(scene, redis, async () => {
        back()
        await restart
      })
    },
  }),
  service({
    fault: 'Redis goes away',
    clients: 200,
    ready: { dependency: 'redis', why: ['connect', 'timeout', 'reset'] },
    log: [down],
    metric: isDown('redis'),
    async arrange() {
      const redis = await startRedis({ persist: true })
      const scene = await startScene({ args: ['--redis', redis.url] })
      const { restart, back } = leave(redis)
      return withService(scene, redis, async () => {
        back()
        await restart
      })
    },
  }),
  service({
    fault: 'Redis hangs',
    clients: 200,
    ready: { dependency: 'redis', why: ['timeout', 'connect'] },
    log: [down],
    metric: isDown('redis'),
    async arrange() {
      const redis = await startRedis()
      const scene = await startScene({ args: ['--redis', redis.url] })
      redis.pause()
      return withService(scene, redis, redis.resume)
    },
  }),
  service({
    fault: 'Kafka cannot be reached at the start',
    clients: 200,
    ready: { dependency: 'kafka', why: ['connect', 'timeout'] },
    log: [down, { level: 'warn', msg: 'Kafka cannot be reached: …' }],
    metric: isDown('kafka'),
    async arrange() {
      const scene = await startScene({ args: ['--kafka', `127.0.0.1:${await freePort()}`] })
      return { ...scene, quiet: true, waits: true }
    },
  }),
  service({
    fault: 'Kafka goes away',
    clients: 200,
    ready: { dependency: 'kafka', why: ['connect', 'timeout'] },
    log: [down],
    metric: isDown('kafka'),
    async arrange() {
      const kafka = await startKafka()
      await createTopics(kafka.brokers, topicNames)
      const scene = await startScene({ args: ['--kafka', kafka.brokers.join(',')] })
      const { restart, back } = leave(kafka)
      return withService(scene, kafka, async () => {
        back()
        await restart
      })
    },
  }),
  service({
    fault: 'A Kafka topic is missing and `createTopics` is off',
    clients: 200,
    ready: { dependency: 'kafka', why: ['missing'] },
    log: [
      down,
      {
        level: 'warn',
        msg: 'Kafka has no topic waybill.requests: create it, or set kafka.createTopics to true',
      },
    ],
    metric: isDown('kafka'),
    async arrange() {
      const kafka = await startKafka()
      const scene = await startScene({ args: ['--kafka', kafka.brokers.join(',')] })
      return withService(scene, kafka, () => createTopics(kafka.brokers, topicNames))
    },
  }),
]

/** Ends a service until `back` is called. */
function leave(service: { restart(options: { kill: boolean; away: Promise<void> }): Promise<void> }) {
  const gate = createGate()
  const restart = service.restart({ kill: true, away: gate.opened })
  return { restart, back: gate.release }
}

function withService(
  scene: RunningScene,
  service: { stop(): Promise<void> },
  recover: () => unknown,
): RunningScene {
  return { ...scene, quiet: true, recover, cleanUp: () => Promise.all([scene.cleanUp(), service.stop()]) }
}
