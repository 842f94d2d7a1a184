/** When a batch is done, no address of its clients is left in the memory of the process, though they are remembered. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { formatAddress } from '../src/geo/address.ts'
import { findInMemory } from './support/process-memory.ts'

const script = fileURLToPath(new URL('./support/enrich-once.ts', import.meta.url))
const mask = 0xa5

/** Of a network that the test databases know, and otherwise found nowhere by chance. */
const addresses = Array.from({ length: 8 }, () => {
  const address = new Uint8Array(randomBytes(16))
  address.set([0x20, 0x01, 0x02, 0x18])
  return address
})
/** All bytes, and those that the database does not have. */
const binary = addresses.flatMap((address) => [address, address.subarray(4)])
const texts = addresses.map((address) => Buffer.from(formatAddress(address)))

async function enrich<Result>(mode: 'keeps' | 'forgets', look: (pid: number) => Result): Promise<Result> {
  const masked = addresses.map((address) => Buffer.from(address.map((byte) => byte ^ mask)).toString('hex'))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, mode, ...masked], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const [line] = await new Promise<Buffer[]>((resolve, reject) => {
      child.stdout.once('data', (data: Buffer) => resolve([data]))
      child.once('exit', (code) => reject(new Error(`ended with ${code}`)))
    })
    expect(line?.toString()).toMatch(/^done 400 /)
    return look(child.pid!)
  } finally {
    child.kill('SIGKILL')
  }
}

test('nothing is left of addresses that were enriched', { timeout: 60_000 }, async () => {
  expect(await enrich('forgets', (pid) => findInMemory(pid, [...binary, ...texts]))).toEqual([])
})

test('the search finds what is kept', { timeout: 60_000 }, async () => {
  expect((await enrich('keeps', (pid) => findInMemory(pid, texts))).length).toBeGreaterThan(0)
})
