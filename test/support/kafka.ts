/** One real Kafka broker (KRaft, no other process) on a free port, and a reader of whole topics. */
import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Kafka, logLevel } from 'kafkajs'
import { freePort, removeFolder, run, startProcess, temporaryFolder } from './processes.ts'

export type KafkaBroker = {
  /** For kafkajs and `--kafka`: `['127.0.0.1:PORT']`. */
  brokers: string[]
  pid: number
  stop(): Promise<void>
  /** Stops (killed: as in a crash), stays away until `away` (at once) and starts again on the same port with the same data. */
  restart(options?: { kill?: boolean; away?: Promise<unknown> }): Promise<void>
  /** Stops the process where it is: connections stay open and nothing answers. */
  pause(): void
  resume(): void
  /** What the broker printed. */
  output(): string
}

export type KafkaMessage = {
  partition: number
  offset: string
  key: string | null
  value: string | null
  headers: Record<string, string>
  /** Unix ms. */
  timestamp: number
}

const classPath = fileURLToPath(new URL('../../.services/kafka/libs/*', import.meta.url))
// One compiler tier and the serial collector: a broker that lives seconds starts in half the time.
const java = [
  '-Xmx512m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Dlog4j2.level=WARN',
  '-cp',
  classPath,
]

function properties(port: number, controllerPort: number, folder: string): string {
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'log.dirs': join(folder, 'data'),
    'auto.create.topics.enable': false,
    'num.partitions': 1,
    'offsets.topic.num.partitions': 1,
    'offsets.topic.replication.factor': 1,
    'transaction.state.log.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    // A consumer that is alone need not wait for others (3 s by default).
    'group.initial.rebalance.delay.ms': 0,
    // The index files of each partition are preallocated at 10 MB otherwise.
    'log.index.size.max.bytes': 262_144,
    // After a crash the node registers again only when its old session is over (9 s by default).
    'broker.session.timeout.ms': 1500,
    'broker.heartbeat.interval.ms': 300,
  })
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}

function connect(brokers: readonly string[], clientId: string, retries: number): Kafka {
  return new Kafka({
    clientId,
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 2000,
    requestTimeout: 5000,
    retry: { retries, initialRetryTime: 50, maxRetryTime: 1000 },
  })
}

async function answersMetadata(brokers: readonly string[]): Promise<boolean> {
  const admin = connect(brokers, 'readiness', 0).admin()
  try {
    await admin.connect()
    const cluster = await admin.describeCluster()
    await admin.listTopics()
    return cluster.brokers.length === 1
  } catch {
    return false
  } finally {
    await admin.disconnect().catch(() => undefined)
  }
}

export async function startKafka(): Promise<KafkaBroker> {
  if (!existsSync(classPath.slice(0, -1))) throw new Error('Kafka is missing: run scripts/services')
  const folder = temporaryFolder('kafka')
  const port = await freePort()
  const brokers = [`127.0.0.1:${port}`]
  const file = join(folder, 'server.properties')
  writeFileSync(file, properties(port, await freePort(), folder))
  // Its first letter is not left to chance: a '-' would look like a flag.
  const clusterId = `W${randomBytes(16).toString('base64url').slice(1)}`
  const format = await run('java', [
    ...java,
    'kafka.tools.StorageTool',
    'format',
    '-t',
    clusterId,
    '-c',
    file,
  ])
  if (format.code !== 0) throw new Error(`Kafka's folder was not formatted\n${format.stdout}${format.stderr}`)

  const start = () =>
    startProcess({
      command: 'java',
      args: [...java, 'kafka.Kafka', file],
      cwd: folder,
      ready: () => answersMetadata(brokers),
      readyTimeoutMs: 60_000,
    })
  let broker = await start()
  return {
    brokers,
    get pid() {
      return broker.pid
    },
    async stop() {
      // The data goes with the folder, so an orderly end (seconds) has nothing to save.
      await broker.stop('SIGKILL')
      removeFolder(folder)
    },
    async restart({ kill = false, away } = {}) {
      await broker.stop(kill ? 'SIGKILL' : 'SIGTERM', 30_000)
      await away
      broker = await start()
    },
    pause: () => broker.signal('SIGSTOP'),
    resume: () => broker.signal('SIGCONT'),
    output: () => broker.output(),
  }
}

/** All messages from the beginning to the end offsets at the time of the call, by partition and offset. */
export async function readTopic(
  brokers: readonly string[],
  topic: string,
  timeoutMs = 30_000,
): Promise<KafkaMessage[]> {
  // After a start the coordinator of groups may take a while; `timeoutMs` bounds it.
  const kafka = connect(brokers, 'reader', 20)
  const admin = kafka.admin()
  await admin.connect()
  const offsets = await admin.fetchTopicOffsets(topic).finally(() => admin.disconnect())
  const ends = new Map<number, number>()
  for (const { partition, low, high } of offsets) {
    if (Number(high) > Number(low)) ends.set(partition, Number(high))
  }
  if (ends.size === 0) return []

  const messages: KafkaMessage[] = []
  const consumer = kafka.consumer({ groupId: `reader-${randomUUID()}` })
  let timer: NodeJS.Timeout | undefined
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => {
        const missing = [...ends.keys()].join(', ')
        reject(new Error(`${topic}: end of partitions ${missing} not reached in ${timeoutMs} ms`))
      }, timeoutMs)
      // `restart`: kafkajs goes on by itself, as when the group coordinator is still loading.
      consumer.on(consumer.events.CRASH, ({ payload }) => {
        if (!payload.restart) reject(payload.error)
      })
      consumer
        .run({
          autoCommit: false,
          eachBatch: async ({ batch }) => {
            const end = ends.get(batch.partition)
            if (end === undefined) return
            for (const { offset, key, value, headers, timestamp } of batch.messages) {
              if (Number(offset) >= end) continue
              messages.push({
                partition: batch.partition,
                offset,
                key: key?.toString() ?? null,
                value: value?.toString() ?? null,
                headers: Object.fromEntries(
                  Object.entries(headers ?? {}).map(([name, text]) => [name, String(text)]),
                ),
                timestamp: Number(timestamp),
              })
            }
            if (Number(batch.lastOffset()) >= end - 1) ends.delete(batch.partition)
            if (ends.size === 0) resolve()
          },
        })
        .catch(reject)
    })
  } finally {
    clearTimeout(timer)
    await consumer.disconnect()
  }
  return messages.sort((a, b) => a.partition - b.partition || Number(a.offset) - Number(b.offset))
}
