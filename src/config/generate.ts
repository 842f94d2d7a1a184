/**
 * Writes what is made of the table of settings: `bin/.node/node src/config/generate.ts`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createJsonSchema } from './json-schema.ts'
import { fillReference } from './reference.ts'

const schemaFile = new URL('../../schemas/config.json', import.meta.url)
const referenceFile = new URL('../../docs/configuration.md', import.meta.url)

writeFileSync(schemaFile, `${JSON.stringify(createJsonSchema(), null, 2)}\n`)
writeFileSync(referenceFile, fillReference(readFileSync(referenceFile, 'utf8')))
