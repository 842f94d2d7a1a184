/**
 * Runs the benchmarks of this folder one after the other and prints one table: `make bench`.
 */
import { readdirSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { run as runCommand } from '../test/support/processes.ts'
import { type Bench, type Line, tableHead, tableRow } from './support/report.ts'

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && file !== 'main.ts')
  .map((file) => file.slice(0, -'.ts'.length))
  .sort()

const help = `Usage: bench/main.ts [options] [name …]

Runs the benchmarks (all without a name) and prints a Markdown table. Ends with 1 on a wrong answer, never
because of a time. Nothing else should run on the machine.

  --rounds N    pairs of rounds in each comparison (5)
  --seconds N   length of a round (2); the memory run takes ten times that
  --help        this text

Names: ${names.join(', ')}
`

async function describeMachine(): Promise<string> {
  const cores = cpus()
  const nginx = await runCommand('nginx', ['-v']).catch(() => null)
  const parts = [
    `${cores.length} × ${cores[0]?.model.trim() ?? 'unknown processor'}`,
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    `Linux ${release()}`,
    `Node.js ${process.version}`,
    nginx?.stderr.trim().replace('nginx version: ', '') ?? 'no nginx',
  ]
  return parts.join(', ')
}

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '2' },
      help: { type: 'boolean', default: false },
    },
  })
  const rounds = Number(values.rounds)
  const seconds = Number(values.seconds)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds: ${values.rounds}`)
  if (!(seconds > 0 && seconds <= 600)) throw new Error(`--seconds: ${values.seconds}`)
  const unknown = positionals.filter((name) => !names.includes(name))
  if (unknown.length > 0) throw new Error(`no such benchmark: ${unknown.join(', ')}`)
  return { help: values.help, names: positionals, bench: { rounds, roundMs: seconds * 1000 } }
}

async function main(): Promise<number> {
  let options: ReturnType<typeof readOptions>
  try {
    options = readOptions()
  } catch (error) {
    console.error(`bench: ${(error as Error).message}\n\n${help}`)
    return 2
  }
  if (options.help) {
    console.log(help)
    return 0
  }
  console.log(`${await describeMachine()}\n\n${tableHead}`)
  let failed = false
  for (const name of options.names.length > 0 ? options.names : names) {
    try {
      const { run } = (await import(`./${name}.ts`)) as { run: Bench }
      await run((line: Line) => console.log(tableRow(line)), options.bench)
    } catch (error) {
      failed = true
      console.error(`bench: ${name} failed:`, error)
    }
  }
  return failed ? 1 : 0
}

// exit(): a helper process that hangs must not keep a finished run.
process.exit(await main())
