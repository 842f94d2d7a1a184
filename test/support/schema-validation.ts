/** Checks values against the published schemas. */
import { readFileSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormatsModule from 'ajv-formats'

export type SchemaName = 'package-event' | 'request-event' | 'manifest' | 'dead-letter'

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true })
// The module is CommonJS, and its types promise more than Node gives: the function is the module itself.
const addFormats = addFormatsModule as unknown as (to: Ajv2020) => void
addFormats(ajv)
const validators = new Map<SchemaName, ValidateFunction>()

/** What is wrong with the value; empty: nothing. */
export function schemaErrors(name: SchemaName, value: unknown): string[] {
  let validate = validators.get(name)
  if (!validate) {
    const file = new URL(`../../schemas/${name}.json`, import.meta.url)
    validate = ajv.compile(JSON.parse(readFileSync(file, 'utf8')) as object)
    validators.set(name, validate)
  }
  if (validate(value)) return []
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}
