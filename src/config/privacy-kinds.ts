/**
 * Kinds of values that name countries, networks and the life of keys.
 */
import { choice, type Kind } from './kinds.ts'

export const rotation = choice(['1h', '24h', '7d'])

/** Read to upper case. */
export const countryCode: Kind<string> = {
  placeholder: 'CC',
  expected: 'a country code of two letters, like DE (ISO 3166-1 alpha-2)',
  jsonSchema: { type: 'string', pattern: '^[A-Za-z]{2}$' },
  read: (text) => (/^[A-Za-z]{2}$/.test(text) ? text.toUpperCase() : undefined),
}

/** As `network.type` of events tells them; private ones are known by their ranges. */
export const networkType = choice(['business', 'isp', 'hosting', 'education', 'government', 'mobile', 'cdn'])

// RFC 6793: 32 bits.
const maxAsn = 2 ** 32 - 1

/** `64496` or `AS64496`. */
export const autonomousSystem: Kind<number> = {
  placeholder: 'ASN',
  expected: 'the number of an autonomous system, like 64496 or AS64496',
  jsonSchema: {
    anyOf: [
      { type: 'integer', minimum: 1, maximum: maxAsn },
      { type: 'string', pattern: '^([Aa][Ss])?[0-9]{1,10}$' },
    ],
  },
  read: (text) => {
    const number = Number(/^(?:AS)?(\d{1,10})$/i.exec(text)?.[1] ?? Number.NaN)
    return number >= 1 && number <= maxAsn ? number : undefined
  },
}
