/**
 * A process of its own, whose memory a test reads: enriches batches of clients with given addresses, and stays until its
 * input ends. The addresses come masked, and are in its memory only where enrichment puts them.
 */
import { formatAddress } from '../../src/geo/address.ts'
import { createBatchTask } from '../../src/workers/batch.ts'
import { createClientMemory } from '../../src/workers/client-memory.ts'
import { enrichmentSteps } from '../../src/workers/enrichment-steps.ts'
import { createBatch, createRecord, services } from '../../src/workers/record.fixture.ts'

export const mask = 0xa5
const [keeps = '', ...masked] = process.argv.slice(2)
const clients = createClientMemory({ services })
const run = createBatchTask({
  steps: enrichmentSteps,
  services,
  clients,
  boot: '0123456789abcdef',
  append: (payload) => {
    lines += payload.toString().split('\n').length - 1
  },
})
let lines = 0
const kept: string[] = []

for (let round = 0; round < 50; round++) {
  const addresses = masked.map((text) => {
    const address = new Uint8Array(new ArrayBuffer(16))
    for (let i = 0; i < address.length; i++)
      address[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16) ^ mask
    return address
  })
  const batch = createBatch(addresses.map((address, sequence) => createRecord({ address, sequence })))
  await run(batch)
  if (keeps === 'keeps') kept.push(...addresses.map(formatAddress))
  // As the dispatcher frees what is safe.
  for (const address of addresses) address.fill(0)
  new Uint8Array(batch.sab).fill(0)
}
process.stdout.write(`done ${lines} ${kept.length}\n`)
process.stdin.resume()
