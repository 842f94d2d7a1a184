/** The pull storm: `make load ARGS="storm …"`. */
import { parseArgs } from 'node:util'
import { defaultTraces } from './kinds.ts'
import { rehearseStorm } from './rehearse.ts'
import { judge, printStorm } from './report.ts'
import { runStorm, type StormOptions } from './run.ts'

export const stormHelp = `Usage: load/main.ts storm [options]

Plays many clients of mixed kinds against a started Waybill and compares every package event with what its
client did. Ends with 1 when an aim is missed, an answer was wrong or a request is missing. The seed decides
who does what and when it begins.

  --scenario NAME     token: NAT groups, each client with its tokens; open: no tokens, an address for each
                      client; nat: no tokens, NAT groups. May be repeated (all three)
  --pulls N           of each scenario (1000)
  --rate N            pulls that begin in a second (50); it is the load that is meant to be realistic
  --at-once N         clients at most (400)
  --nat N             clients behind one address, where there are groups (20)
  --versions N        of each tool in use; with fewer of them neighbours are more alike (20)
  --failures PERCENT  of clients, in which something goes wrong: refusals, retries, cuts, aborts, resumes (5)
  --nodes N           Waybills behind one name; more than one share a Redis (2)
  --spread HOW        requests: each request to any node; addresses: those of an address to one node, as
                      long as nodes do not share the key of pseudonyms (addresses)
  --skew MS           how much the clock of each node is ahead of the one before (5)
  --idle SECONDS      sessions' idle time (5)
  --seed N            (1)
  --platform KNOWN    known: the platform of an image without index must be that of its config; any: it may
                      be null (known)
  --rehearse          without Waybill: requests become events by its rules alone, in virtual time; idle is that of
                      --idle, spread and skew too. Thousands of pulls take seconds
  --traces DIR        folder of client-traces.json and captured-traces.json (../shared/data); without
                      them a few built-in clients take part
  --show N            examples for each wrong field (2)
  --help              this text
`

export const scenarios = ['token', 'open', 'nat'] as const
export type ScenarioName = (typeof scenarios)[number]

function number(
  name: string,
  text: string,
  { min, max, whole = true }: { min: number; max: number; whole?: boolean },
) {
  const value = Number(text)
  if (!(value >= min && value <= max) || (whole && !Number.isInteger(value)))
    throw new Error(`--${name}: ${text}`)
  return value
}

function readOptions(args: readonly string[]) {
  const text = (fallback: string) => ({ type: 'string', default: fallback }) as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      scenario: { type: 'string', multiple: true, default: [] },
      ...{
        pulls: text('1000'),
        rate: text('50'),
        'at-once': text('400'),
        nat: text('20'),
        failures: text('5'),
      },
      ...{
        nodes: text('2'),
        skew: text('5'),
        spread: text('addresses'),
        idle: text('5'),
        platform: text('known'),
        seed: text('1'),
        versions: text('20'),
        traces: text(defaultTraces),
      },
      rehearse: { type: 'boolean', default: false },
      ...{ show: text('2'), help: { type: 'boolean', default: false } },
    },
  })
  const unknown = values.scenario.find((name) => !scenarios.some((known) => known === name))
  if (unknown !== undefined) throw new Error(`--scenario: ${unknown}`)
  const { spread } = values
  if (spread !== 'requests' && spread !== 'addresses') throw new Error(`--spread: ${spread}`)
  const { platform } = values
  if (platform !== 'known' && platform !== 'any') throw new Error(`--platform: ${platform}`)
  const natGroup = number('nat', values.nat, { min: 2, max: 1000 })
  const common = {
    pulls: number('pulls', values.pulls, { min: 1, max: 1e6 }),
    perSecond: number('rate', values.rate, { min: 0.1, max: 1e5, whole: false }),
    atOnce: number('at-once', values['at-once'], { min: 1, max: 10_000 }),
    failures: number('failures', values.failures, { min: 0, max: 100, whole: false }) / 100,
    nodes: number('nodes', values.nodes, { min: 1, max: 16 }),
    skewMs: number('skew', values.skew, { min: -60_000, max: 60_000 }),
    idleSeconds: number('idle', values.idle, { min: 1, max: 600 }),
    versions: number('versions', values.versions, { min: 1, max: 10_000 }),
    seed: number('seed', values.seed, { min: 0, max: 2 ** 32 - 1 }),
    spread: spread as 'requests' | 'addresses',
    knowsPlatforms: platform === 'known',
    traces: values.traces,
  }
  const chosen = scenarios.filter((name) => values.scenario.length === 0 || values.scenario.includes(name))
  const storms = chosen.map((name): { name: ScenarioName; storm: StormOptions } => ({
    name,
    storm: { ...common, mode: name === 'token' ? 'token' : 'open', natGroup: name === 'open' ? 1 : natGroup },
  }))
  return {
    storms,
    rehearse: values.rehearse,
    show: number('show', values.show, { min: 0, max: 1000 }),
    help: values.help,
  }
}

export async function storm(args: readonly string[]): Promise<number> {
  let options: ReturnType<typeof readOptions>
  try {
    options = readOptions(args)
  } catch (error) {
    console.error(`load: ${(error as Error).message}\n\n${stormHelp}`)
    return 2
  }
  if (options.help) {
    console.log(stormHelp)
    return 0
  }
  let right = true
  for (const { name, storm: one } of options.storms) {
    const result = await (options.rehearse ? rehearseStorm(one) : runStorm(one))
    printStorm(name, one, result, options.show)
    const failures = judge(name, result)
    for (const failure of failures) console.error(`load: storm ${name}: ${failure}`)
    if (failures.length > 0) right = false
  }
  return right ? 0 : 1
}
