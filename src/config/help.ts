/**
 * The help texts of the command.
 */
import { describeDefault, placeholderOf } from './reference.ts'
import { configFlag, settingsByKey } from './schema.ts'

export const commandNames = ['serve', 'check', 'events', 'geo', 'replay'] as const
export type CommandName = (typeof commandNames)[number]

const summaries: Readonly<Record<CommandName, string>> = {
  serve: 'serve clients in front of a registry',
  check: 'check a config file',
  events: 'print package events from the embedded store, or make them again from exports',
  geo: 'get databases for countries and networks',
  replay: 'send dead letters again (not yet)',
}

export const helpText = `Usage: waybill COMMAND

A front for container registries that turns each pull into one package event.

${commandNames.map((name) => `  ${name.padEnd(8)} ${summaries[name]}`).join('\n')}

  --version  print the version
  --help     print this, or after a command what it takes
`

function describeFlags(): string {
  const file = `  --${configFlag.flag} FILE
      A config file (YAML); each flag below is also a key of it.
      Variable ${configFlag.variable}.`
  const flags = [...settingsByKey].flatMap(([key, setting]) =>
    setting.flag === undefined
      ? []
      : [
          `  --${setting.flag} ${placeholderOf(setting)}
      ${setting.help}
      Key ${key}, variable ${setting.variable}, default: ${describeDefault(setting)}.`,
        ],
  )
  return [file, ...flags].join('\n')
}

const helpByCommand: Readonly<Record<CommandName, string>> = {
  serve: `Usage: waybill serve [FLAGS]

A flag counts before its variable, that before the config file, that before the default.

${describeFlags()}
`,
  check: `Usage: waybill check FILE

Prints "ok", or one line for each problem of the config file.
`,
  events: `Usage: waybill events [FLAGS]

Prints package events from the embedded store, oldest first.

  --since TIME|DURATION
      Only events since a time like 2026-01-31T12:00:00Z or 2026-01-31 (its start in UTC), or
      of the last while, like 24h.
  --follow
      Go on printing events as they come.
  --format ndjson|csv
      Default: ndjson.
  --data DIR
      The data folder. Variable WAYBILL_DATA, default: ./data.

Usage: waybill events rebuild --requests FILE --manifests FILE [FLAGS]

Makes the package events again from exports of the topics waybill.requests and waybill.manifests,
with the ids that they were published with, and prints them, oldest first.

  --requests FILE, --manifests FILE
      One JSON value a line, in any order and with any repeats.
  --session-idle DURATION
      As it was when the requests came: it decides which of them are one pull.
      Key sessions.idle, variable WAYBILL_SESSION_IDLE.
  --config FILE
      A config file to take the settings of sessions from. Variable WAYBILL_CONFIG.
  --format ndjson|csv
      Default: ndjson.
`,
  geo: `Usage: waybill geo install [FLAGS]

Gets open data of places and networks by npm (80 MB) and leaves compact tables of it in the data
folder. A Waybill that runs picks them up.

  --data DIR, --config FILE
      As for "waybill serve".
  --if-missing
      Get only what is not there; nothing where the config names databases of its own.
  --cloud
      Also get the ranges that AWS, Google Cloud, Oracle, GitHub, DigitalOcean, Cloudflare and Fastly
      publish, from their sites. Of one that cannot be reached the ranges stay as they were.
  --cloud-file FILE
      Compile such a list from a file (Azure's service tags too); may be given several times. Without
      --cloud nothing else is got.
`,
  replay: `Usage: waybill replay

Not yet: comes in a later version.
`,
}

export function helpOf(name: CommandName): string {
  return helpByCommand[name]
}
