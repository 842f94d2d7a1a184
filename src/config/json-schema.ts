/**
 * Makes `schemas/config.json` of the table of settings.
 */
import type { JsonSchema } from './kinds.ts'
import { groupsByKey, isLater, settingsByKey } from './schema.ts'
import { fileVariant, type Group, type Setting } from './setting.ts'

type ObjectSchema = { type: 'object'; additionalProperties: false; properties: Record<string, JsonSchema> }

function createObjectSchema(): ObjectSchema {
  return { type: 'object', additionalProperties: false, properties: {} }
}

/** The schema of the config file (JSON Schema draft-07, which editors of YAML know best). */
export function createJsonSchema(): JsonSchema {
  const root = createObjectSchema()
  for (const [key, setting] of settingsByKey) {
    if (!isLater(key)) addProperty(root, key.split('.'), setting)
  }
  for (const [key, group] of groupsByKey) root.properties[key] = describeGroup(group)
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Config file of Waybill',
    // A file in which everything is commented out is null.
    type: ['object', 'null'],
    additionalProperties: false,
    properties: root.properties,
  }
}

function addProperty(parent: ObjectSchema, path: readonly string[], setting: Setting): void {
  const [name, ...rest] = path
  if (name === undefined) return
  if (rest.length > 0) {
    addProperty(groupOf(parent, name), rest, setting)
    return
  }
  parent.properties[name] = describe(setting)
  if (setting.secret) {
    const description = `A file with this instead: ${setting.help}`
    parent.properties[fileVariant(name)] = { type: 'string', minLength: 1, description }
  }
}

function describeGroup({ help, settings, lists }: Group): JsonSchema {
  const item = createObjectSchema()
  for (const [key, setting] of Object.entries(settings)) addProperty(item, key.split('.'), setting)
  for (const [key, list] of Object.entries(lists ?? {})) item.properties[key] = describeGroup(list)
  const required = Object.keys(settings).filter((key) => settings[key]?.required)
  return { description: help, type: 'array', minItems: 1, items: { ...item, required } }
}

/** A switch that gets members becomes a choice of both, like `redis.tls`. */
function groupOf(parent: ObjectSchema, name: string): ObjectSchema {
  const existing = parent.properties[name]
  const known = existing?.anyOf?.find(isObjectSchema)
  if (known !== undefined) return known
  const group = createObjectSchema()
  const { description, default: fallback, ...shape } = existing ?? {}
  parent.properties[name] = {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
    // A group whose members are all commented out is null.
    anyOf: [group, existing === undefined ? { type: 'null' } : shape],
  }
  return group
}

function isObjectSchema(schema: JsonSchema): schema is ObjectSchema {
  return schema.properties !== undefined
}

function describe(setting: Setting): JsonSchema {
  return {
    description: setting.help,
    ...(setting.default === undefined ? {} : { default: typed(setting) }),
    ...shapeOf(setting),
  }
}

function shapeOf({ kind, list, needsOne, nullable, members }: Setting): JsonSchema {
  if (nullable) return { anyOf: [kind.jsonSchema, { type: 'null' }] }
  if (!list) return kind.jsonSchema
  const item =
    members === undefined
      ? kind.jsonSchema
      : { anyOf: [kind.jsonSchema, memberSchema(kind.jsonSchema, members)] }
  return { anyOf: [item, { type: 'array', items: item, ...(needsOne ? { minItems: 1 } : {}) }] }
}

function memberSchema(address: JsonSchema, members: NonNullable<Setting['members']>): JsonSchema {
  const schema: ObjectSchema = { ...createObjectSchema(), properties: { address } }
  for (const [name, member] of Object.entries(members)) addProperty(schema, name.split('.'), member)
  return { ...schema, required: ['address'] }
}

/** Editors insert the default, so it has the type that the file would have. */
function typed({ kind, default: text }: Setting): unknown {
  const value = text === undefined ? undefined : kind.read(text)
  return typeof value === 'boolean' || (typeof value === 'number' && String(value) === text) ? value : text
}
