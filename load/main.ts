/**
 * Puts load on a started Waybill before a real registry, fails on any wrong answer, and checks that every
 * request is accounted for: `make load`.
 */
import { parseArgs } from 'node:util'
import type { Image } from '../test/support/image.ts'
import { pushImage, startRegistry } from '../test/support/registry.ts'
import { startWaybill, type Waybill } from '../test/support/waybill.ts'
import { settleAccount } from './account.ts'
import { drive, type Outcome } from './drive.ts'
import { buildScenarios, fetchTokens, scenarioNames } from './scenarios.ts'
import { storm } from './storm/main.ts'

const help = `Usage: load/main.ts [options]
       load/main.ts storm [options]      many clients, judged by their package events (storm --help)

Starts a registry and Waybill, asks for each scenario and judges every answer (status, length, digest). Then
waits until all is delivered and checks that requests, records and package events add up. Ends with 1 when
an answer was wrong or something is missing.

  --duration SECONDS   of each scenario, about (5)
  --connections N      (32)
  --clients N          that take part in turns, each with a token and so a session of its own (2000)
  --scenario NAME      only this one; may be repeated
  --auth token|open    (token); without tokens all clients are one
  --help               this text

Scenarios: ${scenarioNames.join(', ')}
`

const repository = 'demo/app'
const tag = 'latest'
// Long enough that a slow answer under load leaves no heartbeat, short enough to wait for.
const idleSeconds = 6
const deliveryTimeoutMs = 120_000

function readOptions() {
  const { values } = parseArgs({
    options: {
      duration: { type: 'string', default: '5' },
      connections: { type: 'string', default: '32' },
      clients: { type: 'string', default: '2000' },
      scenario: { type: 'string', multiple: true, default: [] },
      auth: { type: 'string', default: 'token' },
      help: { type: 'boolean', default: false },
    },
  })
  const seconds = Number(values.duration)
  const connections = Number(values.connections)
  const clients = Number(values.clients)
  const { auth, scenario } = values
  if (!(seconds > 0 && seconds <= 3600)) throw new Error(`--duration: ${values.duration}`)
  if (!Number.isInteger(connections) || connections < 1 || connections > 10_000) {
    throw new Error(`--connections: ${values.connections}`)
  }
  if (!Number.isInteger(clients) || clients < 1 || clients > 1e6)
    throw new Error(`--clients: ${values.clients}`)
  if (auth !== 'token' && auth !== 'open') throw new Error(`--auth: ${auth}`)
  const unknown = scenario.find((name) => !scenarioNames.some((known) => known === name))
  if (unknown !== undefined) throw new Error(`--scenario: ${unknown}`)
  return { seconds, connections, clients, auth, scenarios: scenario, help: values.help } as const
}

type Options = ReturnType<typeof readOptions>

function printOutcome({ scenario, requests, perSecond, latencyMs, wrong, examples }: Outcome): void {
  const times = Object.values(latencyMs).map((ms) => ms.toFixed(2))
  console.log(`| ${[scenario, requests, perSecond.toFixed(0), ...times, wrong].join(' | ')} |`)
  for (const example of examples) console.error(`load: ${scenario}: ${example}`)
}

async function runLoad(options: Options): Promise<boolean> {
  const registry = await startRegistry()
  try {
    const image = await pushImage(registry, repository, tag)
    const args = ['--upstream', registry.url, '--auth', options.auth, '--blobs', 'stream']
    const waybill = await startWaybill({
      args: [...args, '--session-idle', `${idleSeconds}s`, '--log-level', 'warn'],
    })
    let right = false
    try {
      right = await askAll(waybill, registry.url, image, options)
    } finally {
      const code = await waybill.stop()
      if (code !== 0) {
        right = false
        console.error(`load: waybill ended with ${code}\n${waybill.stderr().slice(-4000)}`)
      }
    }
    return right
  } finally {
    await registry.stop()
  }
}

async function askAll(waybill: Waybill, registry: string, image: Image, options: Options): Promise<boolean> {
  const tokens = options.auth === 'token' ? await fetchTokens(waybill.url, options.clients) : []
  const all = await buildScenarios({ registry, waybill: waybill.url, repository, tag, image })
  const scenarios = all.filter(
    ({ name }) => options.scenarios.length === 0 || options.scenarios.includes(name),
  )
  // What was fetched on the way, tokens and the one that the scenarios learn from, are requests too.
  const sent = { requests: tokens.length + 1, counted: 0, longestMs: 0 }
  let right = true
  console.log('| scenario | requests | per second | p50 ms | p90 | p99 | max | wrong |')
  console.log('|---|--:|--:|--:|--:|--:|--:|--:|')
  for (const scenario of scenarios) {
    const outcome = await drive(waybill.url, scenario, { ...options, tokens })
    printOutcome(outcome)
    sent.requests += outcome.requests
    sent.counted += outcome.counted
    sent.longestMs = Math.max(sent.longestMs, outcome.longestMs)
    if (outcome.wrong > 0) right = false
  }
  const idleMs = idleSeconds * 1000
  const account = await settleAccount(waybill, sent, { idleMs, timeoutMs: deliveryTimeoutMs })
  console.log(`\n${account.lines.join('\n')}`)
  for (const problem of account.problems) console.error(`load: ${problem}`)
  return right && account.problems.length === 0
}

async function main(): Promise<number> {
  let options: Options
  try {
    options = readOptions()
  } catch (error) {
    console.error(`load: ${(error as Error).message}\n\n${help}`)
    return 2
  }
  if (options.help) {
    console.log(help)
    return 0
  }
  return (await runLoad(options)) ? 0 : 1
}

const [first, ...rest] = process.argv.slice(2)
process.exit(first === 'storm' ? await storm(rest) : await main())
