import { expect, test } from 'vitest'
import { type Command, parseCommand } from './command-line.ts'
import { settingsByKey } from './schema.ts'

const nowMs = Date.parse('2026-06-01T00:00:00Z')
const parse = (line: string) => parseCommand(line === '' ? [] : line.split(' '), nowMs)

const events = (rest: Partial<Command>) => ({
  command: 'events',
  sinceMs: null,
  follow: false,
  format: 'ndjson',
  data: null,
  ...rest,
})

test.each<[string, object]>([
  ['serve', { command: 'serve', argv: [] }],
  ['serve --auth open --x', { command: 'serve', argv: ['--auth', 'open', '--x'] }],
  ['check w.yaml', { command: 'check', file: 'w.yaml' }],
  ['events', events({})],
  ['events --since 24h', events({ sinceMs: nowMs - 86_400_000 })],
  ['events --since 2026-05-30', events({ sinceMs: Date.parse('2026-05-30T00:00:00Z') })],
  ['events --since=2026-05-30T12:00:00.5+02:00', events({ sinceMs: Date.parse('2026-05-30T10:00:00.500Z') })],
  ['events --follow --format csv --data /d', events({ follow: true, format: 'csv', data: '/d' })],
  [
    'events rebuild --requests r --manifests=m --session-idle 5s --format csv --config c',
    {
      command: 'rebuild',
      requests: 'r',
      manifests: 'm',
      format: 'csv',
      argv: ['--config', 'c', '--session-idle', '5s'],
    },
  ],
  [
    'geo install --if-missing --upstream u',
    { command: 'geo-install', argv: ['--upstream', 'u'], ifMissing: true, cloud: false, cloudFiles: [] },
  ],
  ['--version', { command: 'version' }],
  ['version', { command: 'version' }],
])('waybill %s', (line, command) => {
  expect(parse(line)).toEqual(command)
})

test.each<[string, string[]]>([
  ['sevre', ['"sevre": unknown command; did you mean serve?']],
  ['frob', ['"frob": unknown command; expected serve, check, events, geo or replay, --version or --help']],
  [
    '--upstream https://ghcr.io',
    [
      '"--upstream": a flag without a command; expected serve, check, events, geo or replay, --version or --help, like "waybill serve --upstream URL"',
    ],
  ],
  ['check', ['check: expected a config file, like "waybill check waybill.yaml"']],
  ['check a b', ['"b": unexpected argument; expected one config file']],
  ['geo install --cloud-file', ['--cloud-file: has no value: expected a file']],
  [
    'geo install --clowd --data',
    ['"--clowd": unexpected argument; did you mean --cloud?', '--data: has no value'],
  ],
  [
    'geo install --data d --upstream u',
    [
      '"--upstream": unexpected argument; expected --data, --config, --if-missing, --cloud or --cloud-file',
      '"u": unexpected argument; expected --data, --config, --if-missing, --cloud or --cloud-file',
    ],
  ],
  ['geo', ['geo: expected "geo install"']],
  ['replay', ['replay: not yet: it comes in a later version']],
  [
    'events --since soon --format xml --folow extra --data --follow=1',
    [
      '"--folow": unexpected argument; did you mean --follow?',
      '"extra": unexpected argument; expected --since, --follow, --format or --data',
      '--data: has no value',
      '--follow: takes no value',
      '--since: "soon": expected a time like 2026-01-31T12:00:00Z, a date, or a duration like 24h',
      '--format: "xml": expected ndjson or csv',
    ],
  ],
  [
    'events --since 2026-02-30',
    ['--since: "2026-02-30": expected a time like 2026-01-31T12:00:00Z, a date, or a duration like 24h'],
  ],
  ['events --data a --data b', ['--data: given twice']],
  [
    'events rebuild --requests --format xml --data d',
    [
      '--requests: has no value',
      '"--data": unexpected argument; expected --requests, --manifests, --format, --config or --session-idle',
      '"d": unexpected argument; expected --requests, --manifests, --format, --config or --session-idle',
      '--format: "xml": expected ndjson or csv',
      'events rebuild: expected --manifests FILE, an export of waybill.manifests with one JSON value a line',
    ],
  ],
  [
    'events rebuild',
    [
      'events rebuild: expected --requests FILE, an export of waybill.requests with one JSON value a line',
      'events rebuild: expected --manifests FILE, an export of waybill.manifests with one JSON value a line',
    ],
  ],
])('refused: waybill %s', (line, problems) => {
  expect(parse(line)).toEqual({ problems })
})

test('help: of the whole, of each command, and as the answer to nothing', () => {
  const whole = parse('--help')
  expect(whole).toMatchObject({
    command: 'help',
    asked: true,
    text: expect.stringContaining('Usage: waybill COMMAND'),
  })
  expect(parse('')).toEqual({ ...whole, asked: false })
  for (const name of ['serve', 'check', 'events', 'geo', 'replay']) {
    const ofCommand = parse(`${name} --help`)
    expect(ofCommand).toMatchObject({ asked: true, text: expect.stringContaining(`Usage: waybill ${name}`) })
    expect(parse(`help ${name}`)).toEqual(ofCommand)
    expect(parse(`${name} --data x -h`)).toEqual(ofCommand)
  }
})

test('the help of serve tells every flag with key, variable and default', () => {
  const { text } = parse('serve --help') as Extract<Command, { command: 'help' }>
  for (const [key, { flag, variable, default: fallback, unset }] of settingsByKey) {
    if (flag === undefined) continue
    expect(text).toContain(`--${flag} `)
    expect(text).toContain(`Key ${key}, variable ${variable}, default: ${fallback ?? unset}.`)
  }
})
