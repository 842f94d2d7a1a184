/** Looks for clients' addresses in whatever a program left, in every form that could be told back. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type AddressForm, addressForms } from './address-forms.ts'

export type AddressHit = { where: string; address: string; form: string; context: string }

export type AddressScan = {
  /** Hits in one piece of evidence; `where` names it. */
  find(where: string, evidence: Uint8Array | string): AddressHit[]
}

const contextCharacters = 40

function isAlone(haystack: string, at: number, length: number, form: AddressForm): boolean {
  // test('') is false for every class of characters.
  const isBeside = (signs: RegExp | undefined, sign = '') => signs?.test(sign) ?? false
  return !isBeside(form.notBefore, haystack[at - 1]) && !isBeside(form.notAfter, haystack[at + length])
}

function positionOf(haystack: string, needle: string, form: AddressForm): number {
  for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + 1)) {
    if (isAlone(haystack, at, needle.length, form)) return at
  }
  return -1
}

export function createAddressScan(addresses: readonly string[]): AddressScan {
  const needles = addresses.flatMap((address) =>
    addressForms(address).map((form) => ({ address, form, needle: form.bytes.toString('latin1') })),
  )
  return {
    find(where, evidence) {
      // Latin-1 keeps one character for each byte.
      const whole = Buffer.from(evidence).toString('latin1')
      const lower = whole.toLowerCase()
      return needles.flatMap(({ address, form, needle }) => {
        const at = positionOf(form.match === 'text' ? lower : whole, needle, form)
        if (at < 0) return []
        const context = whole.slice(Math.max(0, at - contextCharacters), at + contextCharacters)
        return [{ where, address, form: form.name, context: JSON.stringify(context) }]
      })
    },
  }
}

/** Every file under a folder, by its path within it. */
export function readFolder(folder: string): Map<string, Buffer> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const files = names.filter((name) => statSync(join(folder, name)).isFile())
  return new Map(files.map((name) => [name, readFileSync(join(folder, name))]))
}

/** All rows of a SQLite file: in the file itself a long value is cut over pages, where no search finds it. */
export function readRows(path: string): string {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    database.exec('PRAGMA busy_timeout = 5000')
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
    const lines = tables.flatMap(({ name }) =>
      database
        .prepare(`SELECT * FROM "${name}"`)
        .all()
        .flatMap((row) =>
          Object.values(row).map((value) =>
            value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value),
          ),
        ),
    )
    return lines.join('\n')
  } finally {
    database.close()
  }
}
