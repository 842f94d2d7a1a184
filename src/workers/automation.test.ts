import { expect, test } from 'vitest'
import { automationOf } from './automation.ts'

const network = (type: string | null) => ({
  network: { asn: null, organization: null, type, cloud_provider: null, cloud_region: null },
  isCi: false,
})

test.each([
  ['no', null, 'no'],
  ['no', 'isp', 'no'],
  ['no', 'business', 'no'],
  ['no', 'private', 'no'],
  ['no', 'hosting', 'probable'],
  ['no', 'cdn', 'probable'],
  ['probable', 'isp', 'probable'],
  ['yes', 'isp', 'yes'],
  ['yes', 'hosting', 'yes'],
] as const)('a tool that says %s in a network of type %s: %s', (tool, type, automation) => {
  expect(automationOf(tool, network(type))).toBe(automation)
})

test('a tool for people on the machine of a CI service is probably none', () => {
  expect(automationOf('no', { ...network('isp'), isCi: true })).toBe('probable')
  expect(automationOf('no', null)).toBe('no')
})
