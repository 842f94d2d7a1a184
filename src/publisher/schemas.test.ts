/** The schemas name the fields of the types, in their order, and take what Waybill publishes. */
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormatsModule from 'ajv-formats'
import { expect, test } from 'vitest'
import {
  bareManifest,
  barePackageEvent,
  bareRequestEvent,
  sampleManifest,
  samplePackageEvent,
  sampleRequestEvent,
} from '../../test/support/sample-events.ts'
import type { DeadLetter } from './dead-letter.ts'
import {
  deadLetterFields,
  type FieldNode,
  type FieldTree,
  manifestFields,
  packageEventFields,
  requestEventFields,
} from './fields.ts'

type Schema = {
  description?: string
  type?: string | string[]
  const?: string
  required?: string[]
  properties?: Record<string, Schema>
  items?: Schema
  additionalProperties?: boolean
}

const letter: DeadLetter = {
  schema: 'waybill.dead-letter/1',
  id: '0'.repeat(32),
  time: '2026-02-03T04:05:06.007Z',
  reason: 'message_too_large',
  stream: 'events',
  key: '1'.repeat(32),
  bytes: 2_000_000,
  entry: '{}',
  node: 'node-a',
}

const cases = [
  {
    name: 'package-event',
    fields: packageEventFields,
    full: samplePackageEvent(1),
    bare: barePackageEvent(2),
  },
  {
    name: 'request-event',
    fields: requestEventFields,
    full: sampleRequestEvent(1),
    bare: bareRequestEvent(2),
  },
  { name: 'manifest', fields: manifestFields, full: sampleManifest(1), bare: bareManifest(2) },
  {
    name: 'dead-letter',
    fields: deadLetterFields,
    full: letter,
    bare: { ...letter, stream: null, key: null, entry: null },
  },
] as const

function readSchema(name: string): Schema {
  return JSON.parse(readFileSync(new URL(`../../schemas/${name}.json`, import.meta.url), 'utf8')) as Schema
}

/** The same schema without room for unknown fields: what a test must not miss, but readers must allow. */
function close(schema: Schema): Schema {
  return {
    ...schema,
    ...(schema.items ? { items: close(schema.items) } : {}),
    ...(schema.properties
      ? {
          properties: Object.fromEntries(
            Object.entries(schema.properties).map(([name, inner]) => [name, close(inner)]),
          ),
          additionalProperties: false,
        }
      : {}),
  }
}

function validator(schema: Schema) {
  const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true })
  const addFormats = addFormatsModule as unknown as (to: Ajv2020) => void
  addFormats(ajv)
  const validate = ajv.compile(schema)
  return (value: unknown) =>
    validate(value) ? [] : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`)
}

function shape(schema: Schema): FieldNode {
  if (schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties).map(([name, inner]) => [name, shape(inner)]))
  }
  if (!schema.items) return 'value'
  const item = shape(schema.items)
  return item === 'value' ? 'list' : [item as FieldTree]
}

function walk(schema: Schema, path: string, visit: (schema: Schema, path: string) => void): void {
  visit(schema, path)
  if (schema.items) walk(schema.items, `${path}[]`, visit)
  for (const [name, inner] of Object.entries(schema.properties ?? {})) walk(inner, `${path}.${name}`, visit)
}

test.each(cases)('$name: the schema names the fields of the type, in their order', ({ name, fields }) => {
  // Text, because only that compares the order as well.
  expect(JSON.stringify(shape(readSchema(name)), null, 1)).toBe(JSON.stringify(fields, null, 1))
})

test.each(cases)('$name: what is published has exactly these fields, in this order', ({ fields, full }) => {
  const names = (value: unknown, node: FieldNode): unknown => {
    if (typeof node === 'string') return node
    if (Array.isArray(node)) return [names((value as unknown[])[0], node[0])]
    return Object.fromEntries(
      Object.entries(value as object).map(([name, inner]) => [
        name,
        names(inner, (node as FieldTree)[name]!),
      ]),
    )
  }
  expect(JSON.stringify(names(full, fields))).toBe(JSON.stringify(fields))
})

test.each(cases)(
  '$name: full and bare samples are valid, without an unknown field',
  ({ name, full, bare }) => {
    const errors = validator(close(readSchema(name)))
    expect(errors(full)).toEqual([])
    expect(errors(bare)).toEqual([])
  },
)

test.each(cases)(
  '$name: every field is required, described, and may be joined by new ones',
  ({ name, full }) => {
    const schema = readSchema(name)
    walk(schema, name, (inner, path) => {
      if (!path.endsWith('[]')) expect(inner.description, path).toBeTruthy()
      if (inner.properties) expect(inner.required, path).toEqual(Object.keys(inner.properties))
      expect(inner.additionalProperties ?? true, path).toBe(true)
    })
    const errors = validator(schema)
    for (const field of Object.keys(full)) {
      expect(errors({ ...full, [field]: undefined }), field).not.toEqual([])
    }
    expect(errors({ ...full, added_later: 1 })).toEqual([])
  },
)

test('wrong values are refused', () => {
  const errors = validator(readSchema('package-event'))
  const wrong = [
    { id: 'A'.repeat(32) },
    { ended_at: '2026-02-03T04:05:06Z' },
    { kind: 'partial' },
    { bytes_sent: -1 },
    { attempts: 0 },
    { session_ids: [] },
    { digest: 'latest' },
  ]
  for (const fields of wrong)
    expect(errors({ ...samplePackageEvent(1), ...fields }), JSON.stringify(fields)).not.toEqual([])
})

test('what events share is told the same way in both schemas', () => {
  const events = readSchema('package-event').properties!
  const requests = readSchema('request-event').properties!
  for (const name of ['client', 'geo', 'network', 'company', 'data', 'privacy', 'node']) {
    expect(events[name], name).toEqual(requests[name])
  }
})
