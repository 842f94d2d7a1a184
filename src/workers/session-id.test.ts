import { expect, test } from 'vitest'
import { createRecord } from './record.fixture.ts'
import { sessionOf } from './session-id.ts'

test('fields of a session do not run into each other', () => {
  const id = (domain: string, repository: string) =>
    sessionOf(createRecord({ repository }), domain, 'client').session_id
  expect(id('ab', 'c')).not.toBe(id('a', 'bc'))
  expect(id('ab', 'c')).toBe(id('ab', 'c'))
})
