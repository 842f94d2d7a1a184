/**
 * The connection to Kafka: opened when first needed, left behind whole after any failure of transport, and
 * never waited for longer than a deadline (kafkajs neither reconnects after every error nor ends every wait:
 * https://github.com/tulios/kafkajs/issues/919, /1686).
 */
import { connect as connectTcp, isIP, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import kafkajs, { type Admin, type Kafka, type KafkaConfig, type Producer } from 'kafkajs'
import type { Config } from '../config/types.ts'
import { deadLetterReason, publishError } from './kafka-errors.ts'
import { quietRequestQueue } from './kafkajs-queue.ts'
import { useFastRecords } from './kafkajs-record.ts'
import { choosePartition } from './partitioner.ts'

export type KafkaSettings = NonNullable<Config['kafka']>

export type Log = {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Every socket of a client; after `giveUp` it opens no other. */
type Sockets = { open: Set<Socket>; givenUp: boolean }

type Client = { kafka: Kafka; sockets: Sockets }

type Link = {
  sockets: Sockets
  producer: Producer
  connected: Promise<void>
  /** Calls that still use it; a retired link is given up with the last of them. */
  users: number
  retired: boolean
}

export type KafkaConnection = ReturnType<typeof createKafkaConnection>

/** As kafkajs does; longer silences are ended by the deadline. */
const keepAliveMs = 60_000

export function toKafkaConfig(settings: KafkaSettings, clientId: string, timeoutMs: number): KafkaConfig {
  const { ssl, sasl } = settings
  return {
    brokers: settings.brokers,
    clientId,
    ssl: typeof ssl === 'boolean' ? ssl : ssl.ca === null ? true : { ca: ssl.ca },
    ...(sasl === null ? {} : { sasl: sasl as NonNullable<KafkaConfig['sasl']> }),
    connectionTimeout: Math.min(timeoutMs / 2, 5_000),
    authenticationTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    // One round over the brokers. Entries wait in the log, not here; and a send that kafkajs retries by itself
    // leaves out partitions whose leader moved to a broker that has already answered.
    retry: { retries: Math.max(1, settings.brokers.length - 1), initialRetryTime: 100, maxRetryTime: 1_000 },
    logLevel: kafkajs.logLevel.WARN,
  }
}

export function createKafkaConnection(options: {
  settings: KafkaSettings
  clientId: string
  log: Log
  timeoutMs: number
}) {
  const { settings, clientId, log, timeoutMs } = options
  let current: Link | null = null
  let opened = 0
  let closed = false
  quietRequestQueue()
  useFastRecords()

  function createClient(): Client {
    const sockets: Sockets = { open: new Set(), givenUp: false }
    // Each client starts at another broker, so that one that hangs costs one try in as many as there are.
    const first = opened++ % settings.brokers.length
    const brokers = [...settings.brokers.slice(first), ...settings.brokers.slice(0, first)]
    const kafka = new kafkajs.Kafka({
      ...toKafkaConfig({ ...settings, brokers }, clientId, timeoutMs),
      socketFactory: ({ host, port, ssl, onConnect }) => {
        // kafkajs answers the loss of a connection by a new one, which nobody would ever close.
        if (sockets.givenUp) return new Socket().destroy(givenUpError())
        const name = isIP(host) === 0 ? { servername: host } : {}
        const socket = ssl
          ? connectTls({ host, port, ...name, ...ssl }, onConnect)
          : connectTcp({ host, port }, onConnect)
        socket.setKeepAlive(true, keepAliveMs)
        sockets.open.add(socket)
        socket.once('close', () => sockets.open.delete(socket))
        return socket
      },
      // Its lines repeat for as long as a broker is away; the publisher says once that it is.
      logCreator:
        () =>
        ({ namespace, label, log: { message, broker, error } }) =>
          log.debug({ namespace, kafkajs_level: label, broker, error }, message),
    })
    return { kafka, sockets }
  }

  function open(): Link {
    const { kafka, sockets } = createClient()
    const producer = kafka.producer({
      createPartitioner:
        () =>
        ({ message, partitionMetadata }) =>
          choosePartition(String(message.key), partitionMetadata.length),
      allowAutoTopicCreation: false,
      retry: { retries: 0 },
    })
    const connected = producer.connect()
    connected.catch(ignore)
    return { sockets, producer, connected, users: 0, retired: false }
  }

  async function use<T>(run: (producer: Producer) => Promise<T>): Promise<T> {
    if (closed) throw publishError('closed', 'The Kafka publisher is closed')
    current ??= open()
    const link = current
    link.users++
    try {
      return await withDeadline(
        link.connected.then(() => run(link.producer)),
        timeoutMs,
      )
    } catch (error) {
      if (deadLetterReason(error) === null) {
        link.retired = true
        if (current === link) current = null
      }
      throw error
    } finally {
      link.users--
      if (link.retired && link.users === 0) giveUp(link.sockets, link.producer)
    }
  }

  return {
    /** One try, on an open connection, within `timeoutMs`; whatever fails rejects. */
    use,

    /** The same for a call that administers, on a connection of its own. */
    async administer<T>(run: (admin: Admin) => Promise<T>): Promise<T> {
      const { kafka, sockets } = createClient()
      const admin = kafka.admin()
      try {
        return await withDeadline(
          admin.connect().then(() => run(admin)),
          timeoutMs,
        )
      } finally {
        giveUp(sockets, admin)
      }
    },

    async close(): Promise<void> {
      closed = true
      const link = current
      current = null
      if (link === null) return
      await withDeadline(link.producer.disconnect(), timeoutMs).catch(ignore)
      giveUp(link.sockets, link.producer)
    },
  }
}

/** With an error, not an end: kafkajs then rejects what it still holds and stops its timers. */
function giveUp(sockets: Sockets, client: { disconnect(): Promise<void> }): void {
  sockets.givenUp = true
  for (const socket of sockets.open) socket.destroy(givenUpError())
  client.disconnect().catch(ignore)
}

function givenUpError(): Error {
  return new Error('connection given up')
}

function ignore(): void {
  // Said elsewhere: the caller has its own rejection, or asked for the end.
}

function withDeadline<T>(promise: Promise<T>, ms: number): Promise<T> {
  const { promise: result, resolve, reject } = Promise.withResolvers<T>()
  const timer = setTimeout(() => reject(publishError('timeout', `Kafka did not answer within ${ms} ms`)), ms)
  promise.then(resolve, reject).finally(() => clearTimeout(timer))
  return result
}
