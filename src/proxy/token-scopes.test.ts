import { expect, test } from 'vitest'
import { readScopes } from './token-scopes.ts'

const findRoute = (repository: string) => {
  if (repository.startsWith('other/')) return { upstream: 1, upstreamRepository: repository }
  return repository === 'gone' ? null : { upstream: 0, upstreamRepository: `acme/${repository}` }
}
const encode = (...scopes: string[]) => scopes.map((scope) => `scope=${encodeURIComponent(scope)}`).join('&')

test.each([
  ['one', encode('repository:app:pull'), ['repository:acme/app:pull']],
  [
    'with other parameters',
    `service=x&${encode('repository:app:pull')}&client_id=docker`,
    ['repository:acme/app:pull'],
  ],
  ['repeated', encode('repository:app:pull', 'repository:app:pull'), ['repository:acme/app:pull']],
  [
    'several',
    encode('repository:a:pull', 'repository:b/c:pull'),
    ['repository:acme/a:pull', 'repository:acme/b/c:pull'],
  ],
  [
    'several in one',
    encode('repository:a:pull repository:b:pull'),
    ['repository:acme/a:pull', 'repository:acme/b:pull'],
  ],
  [
    'in plus signs',
    'scope=repository:a:pull+repository:b:pull',
    ['repository:acme/a:pull', 'repository:acme/b:pull'],
  ],
  ['only pull of several actions', encode('repository:a:push,pull,delete'), ['repository:acme/a:pull']],
  ['all actions', encode('repository:a:*'), ['repository:acme/a:pull']],
  ['of a class', encode('repository(plugin):a:pull'), ['repository:acme/a:pull']],
  [
    'beside what is not served',
    encode('repository:gone:pull', 'repository:a:pull', 'registry:catalog:*'),
    ['repository:acme/a:pull'],
  ],
])('scopes %s', (_name, query, scopes) => {
  expect(readScopes(query, findRoute)).toMatchObject({ kind: 'scopes', upstream: 0, scopes })
})

test.each([
  ['nothing', ''],
  ['a blank one', 'scope=&scope=%20'],
  ['push alone', encode('repository:a:push')],
  ['another type', encode('registry:catalog:*')],
  ['no name', encode('repository::pull')],
  ['a name that is none', encode('repository:../a:pull')],
  ['a name with more', encode('repository:a:pull:b:pull')],
  ['broken encoding', 'scope=%E0%A4%A'],
])('%s: signing in only', (_name, query) => {
  expect(readScopes(query, findRoute)).toEqual({ kind: 'none' })
})

test('of two registries', () => {
  expect(readScopes(encode('repository:a:pull', 'repository:other/b:pull'), findRoute)).toEqual({
    kind: 'mixed',
  })
})

test('more than anybody needs', () => {
  const many = Array.from({ length: 65 }, (_, index) => `repository:a${index}:pull`)
  expect(readScopes(encode(...many), findRoute)).toEqual({ kind: 'too-many' })
})
