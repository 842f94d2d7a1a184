import { expect, test } from 'vitest'
import { nominatedBy, nominatedDown, passesUpstream } from './headers.ts'

test.each([
  ['accept', true],
  ['range', true],
  ['x-unknown', true],
  ['traceparent', true],
  ['host', false],
  ['authorization', false],
  ['cookie', false],
  ['connection', false],
  ['te', false],
  ['x-forwarded-for', false],
  ['x-forwarded-anything', false],
  ['forwarded', false],
  ['cf-connecting-ip', false],
  ['true-client-ip', false],
])('request header %s goes upstream: %s', (name, expected) => {
  expect(passesUpstream(name)).toBe(expected)
})

test.each([
  ['', []],
  ['close', []],
  ['keep-alive, X-A ,x-b', ['x-a', 'x-b']],
  ['Host', null],
  ['close, Range', null],
])('Connection "%s" nominates %j', (connection, expected) => {
  expect(nominatedBy(connection)).toEqual(expected)
})

test.each([
  ['close', []],
  ['keep-alive, X-A ,x-b', ['x-a', 'x-b']],
  ['Content-Type, X-A, Host', ['x-a']],
])('the Connection "%s" of an answer nominates %j', (connection, expected) => {
  expect(nominatedDown(connection).filter((name) => name !== '')).toEqual(expected)
})
