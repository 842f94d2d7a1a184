/** The processes and services of the integration tests themselves: each starts, works and leaves nothing. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, symlinkSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { Kafka, logLevel } from 'kafkajs'
import { expect, test } from 'vitest'
import { createCertificates } from './support/certificates.ts'
import { createGate, startFaultUpstream } from './support/fault-upstream.ts'
import { readTopic, startKafka } from './support/kafka.ts'
import { startNginx } from './support/nginx.ts'
import { freePort, isAlive, removeFolder, run, startProcess, temporaryFolder } from './support/processes.ts'
import { dumpAll, startRedis } from './support/redis.ts'
import { pushImage, startRegistry } from './support/registry.ts'
import { skopeoCopy } from './support/skopeo.ts'
import { startWaybill } from './support/waybill.ts'

test('a process says why it was not ready, and run gives the code and both outputs', async () => {
  const failing = startProcess({
    command: 'sh',
    args: ['-c', 'echo no luck >&2; exit 3'],
    ready: () => false,
  })
  await expect(failing).rejects.toThrow(/ended before it was ready\nno luck/)
  expect(await run('sh', ['-c', 'echo $GIVEN; echo err >&2; exit 4'], { env: { GIVEN: 'a' } })).toEqual({
    code: 4,
    stdout: 'a\n',
    stderr: 'err\n',
  })
  await expect(run('sleep', ['60'], { timeoutMs: 50 })).rejects.toThrow('did not end in 50 ms')
})

test('when the tests are killed their processes die with them and their folders go', async () => {
  const script = `import { startProcess, temporaryFolder } from '${new URL('./support/processes.ts', import.meta.url)}'
    const { pid } = await startProcess({ command: 'sleep', args: ['300'] })
    console.log(pid + ' ' + temporaryFolder())`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script])
  const [line] = (await once(parent.stdout, 'data')) as [Buffer]
  const [pid, folder = ''] = line.toString().trim().split(' ')
  expect(isAlive(Number(pid))).toBe(true)
  expect(existsSync(folder)).toBe(true)
  parent.kill('SIGKILL')
  await expect.poll(() => isAlive(Number(pid))).toBe(false)
  await expect.poll(() => existsSync(folder)).toBe(false)
})

test('a stopped process is gone even when it was paused, and keeps to its folder', async () => {
  const folder = temporaryFolder()
  const logFile = join(folder, 'log')
  const child = await startProcess({
    ...{ command: 'sh', args: ['-c', 'pwd; echo $$; exec sleep 300'], cwd: folder, logFile },
    ready: (text) => text.split('\n').length === 3,
  })
  expect(readFileSync(logFile, 'utf8')).toBe(`${folder}\n${child.pid}\n`)
  child.signal('SIGSTOP')
  expect(await child.stop()).toEqual({ code: null, signal: 'SIGTERM' })
  removeFolder(folder)
  expect(existsSync(folder)).toBe(false)
})

test('free ports differ', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, () => freePort()))
  expect(new Set(ports).size).toBe(50)
})

test('Redis: dumpAll finds what is in any type, and pause and restart do what they say', async () => {
  const server = await startRedis()
  const redis = new Redis(server.url, { retryStrategy: () => 20, maxRetriesPerRequest: null })
  redis.on('error', () => undefined)
  await redis.set('plain', 'in-string')
  await redis.hset('hash', 'field-name', Buffer.from([0, 255, 1, 254]))
  await redis.rpush('list', 'in-list')
  await redis.zadd('zset', 7, 'in-zset')
  await redis.xadd('stream', '*', 'entry', 'in-stream')
  await redis.select(3)
  await redis.sadd('set', 'in-set')
  const dump = await dumpAll(server.url)
  for (const part of ['plain', 'in-string', 'field-name', 'in-list', 'in-zset', 'in-stream', 'in-set']) {
    expect(dump.includes(part), part).toBe(true)
  }
  expect(dump.includes(Buffer.from([0, 255, 1, 254]))).toBe(true)
  expect(dump.includes('not there')).toBe(false)

  server.pause()
  const impatient = new Redis(server.url, { commandTimeout: 200, maxRetriesPerRequest: 0, lazyConnect: true })
  impatient.on('error', () => undefined)
  await expect(impatient.ping()).rejects.toThrow()
  impatient.disconnect()
  server.resume()
  expect(await redis.ping()).toBe('PONG')

  const before = server.pid
  await server.restart()
  expect(server.pid).not.toBe(before)
  expect(await redis.exists('set')).toBe(0)
  redis.disconnect()
  await server.stop()
  expect(isAlive(server.pid)).toBe(false)
})

test('Redis: with persist all data survives a crash', async () => {
  const server = await startRedis({ persist: true })
  const redis = new Redis(server.url, { retryStrategy: () => 20, maxRetriesPerRequest: null })
  redis.on('error', () => undefined)
  await redis.set('kept', 'yes')
  await server.restart({ kill: true })
  expect(await redis.get('kept')).toBe('yes')
  redis.disconnect()
  await server.stop()
})

test('Kafka: topics are made, written and read whole; data survives a crash and a pause', async () => {
  const server = await startKafka()
  const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 20 }
  const kafka = new Kafka({
    brokers: server.brokers,
    logLevel: logLevel.NOTHING,
    retry,
    requestTimeout: 1000,
  })
  const admin = kafka.admin()
  await admin.connect()
  const topics = [
    { topic: 'three', numPartitions: 3 },
    { topic: 'empty', numPartitions: 1 },
  ]
  expect(await admin.createTopics({ topics, waitForLeaders: true })).toBe(true)
  await admin.disconnect()
  const messages = Array.from({ length: 30 }, (_, i) => ({
    ...{ key: `key-${i}`, value: `value-${i}`, headers: { number: String(i) }, timestamp: String(1e12 + i) },
  }))
  for (const idempotent of [false, true]) {
    const producer = kafka.producer({ idempotent, allowAutoTopicCreation: false })
    await producer.connect()
    await producer.send({
      topic: 'three',
      messages: messages.slice(idempotent ? 15 : 0, idempotent ? 30 : 15),
    })
    await producer.disconnect()
  }
  expect(await readTopic(server.brokers, 'empty')).toEqual([])
  await server.restart({ kill: true })
  server.pause()
  const read = readTopic(server.brokers, 'three', 60_000)
  server.resume()
  const byTime = (await read).sort((a, b) => a.timestamp - b.timestamp)
  expect(byTime.map(({ key, value, headers, timestamp }) => ({ key, value, headers, timestamp }))).toEqual(
    messages.map((message) => ({ ...message, timestamp: Number(message.timestamp) })),
  )
  expect(new Set(byTime.map(({ partition }) => partition)).size).toBe(3)
  await expect(readTopic(server.brokers, 'missing')).rejects.toThrow()
  await server.stop()
  expect(isAlive(server.pid)).toBe(false)
})

test('certificates hold for their names, and for no other', async () => {
  const { ca, cert, key } = await createCertificates(['cr.example.test'])
  const upstream = await startFaultUpstream({ tls: { cert, key } })
  upstream.answer('/', { body: 'secure' })
  const get = (servername: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const outgoing = httpsRequest(
        upstream.url,
        { ca: readFileSync(ca), servername, agent: false },
        (response) => {
          response.resume()
          resolve(response.statusCode)
        },
      )
      outgoing.on('error', reject)
      outgoing.end()
    })
  expect(await get('cr.example.test')).toBe(200)
  expect(await get('localhost')).toBe(200)
  await expect(get('other.example.test')).rejects.toThrow(/altnames/)
  await upstream.stop()
})

test('the fault upstream answers, holds back, breaks and resets as told', async () => {
  const upstream = await startFaultUpstream()
  const body = randomBytes(300_000)
  const gate = createGate()
  upstream.answer('/list', [{ status: 503, headers: { 'Retry-After': '1' } }, { body: 'ok' }])
  upstream.answer('/made', ({ method }) => ({
    headers: { 'X-Method': method, 'content-length': null },
    body: 'm',
  }))
  upstream.answer('/held', { body, bytesFirst: 10, bodyAfter: gate.opened })
  upstream.answer('/short', { body: 'abc', headers: { 'content-length': '10' } })
  upstream.answer('/reset', { body, breakAt: { bytes: 1000, how: 'reset' } })
  upstream.answer('/none', { breakAt: { bytes: -1, how: 'close' } })
  upstream.answer('/raw', { raw: 'HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nhi' })

  const get = (path: string) => fetch(upstream.url + path)
  expect((await get('/list')).status).toBe(503)
  expect(await (await get('/list')).text()).toBe('ok')
  expect(await (await get('/list?n=1')).text()).toBe('ok')
  const made = await get('/made')
  expect(made.headers.get('x-method')).toBe('GET')
  expect(made.headers.get('transfer-encoding')).toBe('chunked')

  const held = await get('/held')
  expect(held.headers.get('content-length')).toBe('300000')
  const parts: Uint8Array[] = []
  for await (const part of held.body ?? []) {
    parts.push(part)
    if (parts.length === 1) gate.release()
  }
  expect(parts[0]?.length).toBe(10)
  expect(Buffer.concat(parts).equals(body)).toBe(true)

  await expect(get('/short').then((response) => response.text())).rejects.toThrow()
  await expect(get('/reset').then((response) => response.text())).rejects.toThrow()
  await expect(get('/none')).rejects.toThrow()
  expect((await get('/raw')).status).toBe(299)
  expect((await get('/unknown')).status).toBe(404)
  expect(upstream.seen.find(({ url }) => url === '/reset')?.aborted).toBe(true)
  expect(upstream.seen.filter(({ url }) => url.startsWith('/list'))).toHaveLength(3)
  await upstream.stop()
  await expect(get('/list')).rejects.toThrow()
})

test('nginx: the worker is another process than its master, and answers', async () => {
  const nginx = await startNginx('location / { return 307 /there; }')
  const response = await fetch(nginx.url, { redirect: 'manual' })
  expect(response.status).toBe(307)
  expect(response.headers.get('location')).toContain('/there')
  expect(readFileSync(`/proc/${nginx.pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]).toBe(
    String(nginx.masterPid),
  )
  await nginx.stop()
  expect([isAlive(nginx.pid), isAlive(nginx.masterPid)]).toEqual([false, false])
})

test('Waybill starts, relays a pull, gives its event and ends in order', async () => {
  const registry = await startRegistry()
  await pushImage(registry, 'through/waybill', '1', { single: true })
  const waybill = await startWaybill({ args: ['--upstream', registry.url, '--session-idle', '500ms'] })
  expect((await fetch(`${waybill.admin}/readyz`)).status).toBe(200)
  const copied = await skopeoCopy(`${waybill.host}/through/waybill:1`, temporaryFolder('copy'))
  expect(copied, copied.stderr).toMatchObject({ code: 0 })
  await expect
    .poll(async () => (await waybill.events()).map(({ repository }) => repository), { timeout: 30_000 })
    .toEqual(['through/waybill'])
  expect(await waybill.stop()).toBe(0)
  expect(isAlive(waybill.pid)).toBe(false)
  await registry.stop()
})

test('scripts/services does nothing when everything is there', async () => {
  const services = fileURLToPath(new URL('../scripts/services', import.meta.url))
  const started = performance.now()
  expect(await run(services, [])).toEqual({ code: 0, stdout: '', stderr: '' })
  expect(performance.now() - started).toBeLessThan(5000)
})

test('scripts/services without the right to install says what is missing', async () => {
  const services = fileURLToPath(new URL('../scripts/services', import.meta.url))
  const folder = temporaryFolder('path')
  for (const tool of ['sh', 'dirname', 'cmp', 'id']) symlinkSync(`/usr/bin/${tool}`, join(folder, tool))
  // `run` adds the sbin folders; the rest of the system is out of sight.
  const { code, stderr } = await run('/bin/sh', [services], { env: { PATH: folder } })
  expect(code).toBe(2)
  expect(stderr).toMatch(/missing.* docker-registry redis-server skopeo/)
})
