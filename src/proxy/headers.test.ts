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
  ...[
    'x-original-forwarded-for forwarded x-vercel-forwarded-for x-real-ip x-client-ip x-cluster-client-ip x-remote-ip',
    'x-remote-addr remote-addr x-originating-ip x-azure-clientip x-azure-socketip x-appengine-user-ip',
    'cf-connecting-ip cf-connecting-ipv6 cf-pseudo-ipv4 cf-ipcountry true-client-ip fastly-client-ip fly-client-ip',
    'wl-proxy-client-ip x-envoy-external-address cloudfront-viewer-address cloudfront-viewer-city do-connecting-ip',
    'incap-client-ip x-sucuri-clientip ali-cdn-real-ip x-nf-client-connection-ip x-vercel-ip-city x-appengine-city',
  ].flatMap((names) => names.split(' ').map((name): [string, boolean] => [name, false])),
  ['x-zip', true],
  ['accept-encoding', true],
  ['x-docker-payload-description', true],
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
