import { expect, test } from 'vitest'
import { parsePath } from './path.ts'

const digest = `sha256:${'a'.repeat(64)}`

const served: [path: string, targetClass: string, repository: string, reference: string][] = [
  ['/v2/', 'ping', '', ''],
  ['/v2', 'ping', '', ''],
  ['/token', 'token', '', ''],
  ['/v2/app/manifests/1.0', 'manifest', 'app', '1.0'],
  [`/v2/a/b/c/manifests/${digest}`, 'manifest', 'a/b/c', digest],
  [`/v2/library/alpine/blobs/${digest}`, 'blob', 'library/alpine', digest],
  ['/v2/app/tags/list', 'tags', 'app', ''],
  [`/v2/app/referrers/${digest}`, 'referrers', 'app', digest],
  ['/v2/manifests/manifests/manifests', 'manifest', 'manifests', 'manifests'],
  ['/v2/x/blobs/manifests/tags/manifests/v1', 'manifest', 'x/blobs/manifests/tags', 'v1'],
  ['/v2/tags/list/tags/list', 'tags', 'tags/list', ''],
  ['/v2/a__b/c---d/manifests/v', 'manifest', 'a__b/c---d', 'v'],
  ['/v2/app/blobs/sha256:baddigeststring', 'blob', 'app', 'sha256:baddigeststring'],
  [`/v2/app/manifests/sha512:${'f'.repeat(128)}`, 'manifest', 'app', `sha512:${'f'.repeat(128)}`],
]

test.each(served)('%s is %s', (path, targetClass, repository, reference) => {
  expect(parsePath(path)).toEqual({ class: targetClass, repository, reference })
})

const refused = [
  '/',
  '/v2//',
  '/v1/app/manifests/1',
  '/v2/_catalog',
  '/v2/manifests/1.0',
  '/v2/tags/list',
  '/v2/App/manifests/1.0',
  '/v2/app/../other/manifests/1.0',
  '/v2/app//manifests/1.0',
  '/v2/%61pp/manifests/1.0',
  '/v2/app/manifests/',
  '/v2/app/manifests/a%2fb',
  '/v2/app/manifests/1.0#x',
  '/v2/app/manifests/é',
  '/v2/app/blobs/uploads/',
  '/v2/app/tags/list/',
  '/v2/app/tags/other',
  '/V2/',
  '//v2/',
  `/v2/${'a'.repeat(256)}/manifests/1`,
  'http://host/v2/',
  '*',
  '',
]

test.each(refused)('%s is not served', (path) => {
  expect(parsePath(path).class).toBe('other')
})
