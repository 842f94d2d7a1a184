/** Faults of the data folder and of databases. */
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { readMetric } from './admin.ts'
import { readPackageEvents, readRequestEvents } from './embedded-events.ts'
import type { FaultRow } from './fault-rows.ts'
import { startScene } from './fault-scene.ts'
import { temporaryFolder } from './processes.ts'
import { sharedData } from './shared-data.ts'
import type { Waybill } from './waybill.ts'
import { preloadWorkerFaults } from './worker-faults.ts'

/** All that waits in a full ring (16 MiB) has room in it, as JSON and with the database beside it. */
const diskBytes = 96 * 1024 * 1024

/** A disk of its own that can be filled, or, without the right to mount, workers whose writes say that it is full. */
function createSmallDisk(): { data: string; env: Record<string, string>; fill(): void; empty(): void } {
  const folder = temporaryFolder('disk')
  const data = join(folder, 'data')
  mkdirSync(data)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', data], { stdio: 'ignore' })
  } catch {
    const file = join(folder, 'no-space')
    return {
      data,
      env: preloadWorkerFaults(folder),
      fill: () => writeFileSync(file, ''),
      empty: () => rmSync(file),
    }
  }
  const filler = join(data, 'filler')
  return {
    data,
    env: {},
    fill() {
      const file = openSync(filler, 'w')
      // Ever smaller pieces, so that the last free page is taken too.
      for (let size = 1024 * 1024; size >= 1; size /= 2) {
        try {
          for (;;) writeSync(file, Buffer.alloc(size))
        } catch {
          // Full for this size.
        }
      }
      // Removed while it is open, it would keep its place.
      closeSync(file)
    },
    empty: () => rmSync(filler),
  }
}

/** Pings by the thousand, with a long name, until `enough`: what fills a ring. */
async function flood(waybill: Waybill, enough: () => Promise<boolean>): Promise<void> {
  const [host, port] = waybill.host.split(':')
  const one = `GET /v2/ HTTP/1.1\r\nHost: ${waybill.host}\r\nUser-Agent: ${'a'.repeat(500)}\r\n\r\n`
  const pings = Buffer.from(one.repeat(100))
  const sockets = Array.from({ length: 4 }, () => {
    const socket = connect(Number(port), host)
    const send = (): void => {
      // What the system has not taken is enough to go on with.
      if (socket.writableLength === 0) socket.write(pings)
    }
    return socket
      .on('connect', send)
      .on('data', send)
      .on('error', () => undefined)
  })
  const deadline = performance.now() + 60_000
  try {
    while (!(await enough())) {
      await delay(100)
      if (performance.now() > deadline) throw new Error('the ring was not full in a minute')
    }
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

async function waitFor(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 40_000
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`)
    await delay(50)
  }
}

async function startOnFullDisk() {
  const disk = createSmallDisk()
  const scene = await startScene({ data: disk.data, env: disk.env, settings: '' })
  const { waybill } = scene
  await scene.ask()
  await waitFor('the first event', () => readPackageEvents(disk.data).length === 1)
  disk.fill()
  return {
    ...scene,
    // Written before the ring is full: these wait in it, and are not lost.
    async meanwhile() {
      await flood(
        waybill,
        async () => ((await readMetric(waybill, 'waybill_ring_dropped_records_total')) ?? 0) > 0,
      )
    },
    recover: disk.empty,
    async afterwards() {
      await scene.ask()
      // One before the fault, one with it, and this one.
      await waitFor('the pulls whose records had waited', () => readPackageEvents(disk.data).length >= 3)
    },
  }
}

export const storageRows: readonly FaultRow[] = [
  {
    fault: 'The disk is full: records wait in memory, then are dropped and counted',
    clients: 200,
    exitCode: null,
    ready: {
      code: 200,
      status: 'serving',
      dependency: 'log',
      states: ['degraded', 'down'],
      why: ['disk_full'],
    },
    log: [
      { level: 'error', msg: 'the log takes no records; waiting' },
      { level: 'warn', msg: 'a dependency is down' },
    ],
    metric: { name: 'waybill_ring_dropped_records_total', labels: { reason: 'full' }, value: '> 0' },
    arrange: startOnFullDisk,
  },
  {
    fault: 'The SQLite file is damaged at the start: it is set aside as `waybill.db.damaged-…`',
    clients: 200,
    exitCode: null,
    ready: { code: 200, status: 'serving', dependency: 'sqlite', states: ['ok'] },
    log: [{ level: 'error', msg: 'the database was damaged and has been set aside; a new one is begun' }],
    metric: null,
    async arrange() {
      const data = temporaryFolder('data')
      const path = join(data, 'waybill.db')
      const database = new DatabaseSync(path)
      database.exec('CREATE TABLE filler (text TEXT)')
      const insert = database.prepare('INSERT INTO filler VALUES (?)')
      for (let row = 0; row < 100; row++) insert.run('x'.repeat(1000))
      database.close()
      const file = openSync(path, 'r+')
      writeSync(file, Buffer.alloc(8192, 0xff), 0, 8192, 4096)
      closeSync(file)
      const scene = await startScene({ data })
      return {
        ...scene,
        async meanwhile() {
          const aside = readdirSync(data).filter((name) => name.startsWith('waybill.db.damaged-'))
          if (aside.length === 0) throw new Error('the damaged file is gone')
          await waitFor('events in a new file', () => existsSync(path) && readRequestEvents(data).length > 0)
        },
      }
    },
  },
  {
    fault: 'A geo database is damaged: events have none of its fields',
    clients: 200,
    exitCode: null,
    ready: { code: 200, status: 'serving', dependency: 'geo:city', states: ['down'], why: ['protocol'] },
    log: [{ level: 'error', msg: '… is not a sound MaxMind DB file: served without it' }],
    metric: { name: 'waybill_dependency_up', labels: { name: 'geo:city' }, value: '0' },
    async arrange() {
      const city = sharedData('maxmind/GeoIP2-City-Test-Invalid-Node-Count.mmdb')
      return startScene({ settings: `geo: {city: ${city}}\n` })
    },
  },
]
