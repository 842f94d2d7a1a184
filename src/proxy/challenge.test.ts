import { expect, test } from 'vitest'
import { parseChallenge } from './challenge.ts'

test.each([
  [
    'Docker Hub',
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
    { scheme: 'bearer', realm: 'https://auth.docker.io/token', service: 'registry.docker.io', error: '' },
  ],
  [
    'ghcr, with its placeholder scope',
    'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull"',
    { scheme: 'bearer', realm: 'https://ghcr.io/token', service: 'ghcr.io', error: '' },
  ],
  [
    'quay, blanks and an error',
    'Bearer realm="https://quay.io/v2/auth", service="quay.io", error="invalid_token"',
    { scheme: 'bearer', realm: 'https://quay.io/v2/auth', service: 'quay.io', error: 'invalid_token' },
  ],
  [
    'GitLab, unquoted service',
    'Bearer realm="https://gitlab.com/jwt/auth",service=container_registry',
    { scheme: 'bearer', realm: 'https://gitlab.com/jwt/auth', service: 'container_registry', error: '' },
  ],
  [
    'Bearer after Basic',
    'Basic realm="registry", bearer realm="https://a.example/t",service="s"',
    { scheme: 'bearer', realm: 'https://a.example/t', service: 's', error: '' },
  ],
  [
    'nothing taken from the scheme after it',
    'Bearer realm="https://a.example/t", Basic realm="x", service="basic"',
    { scheme: 'bearer', realm: 'https://a.example/t', service: '', error: '' },
  ],
  ['Basic alone', 'Basic realm="Registry"', { scheme: 'basic', realm: '', service: '', error: '' }],
  ['a Bearer without a URL', 'Bearer realm="/token"', null],
  ['a scheme within quotes', 'Digest realm="x, Bearer realm=\\"https://evil.example/\\""', null],
  [
    'an error that is no word',
    'Basic realm="x", error="a\\"b"',
    { scheme: 'basic', realm: '', service: '', error: '' },
  ],
  ['nothing', '', null],
  ['a lone word', 'Negotiate', null],
])('%s', (_name, header, expected) => {
  expect(parseChallenge(header)).toEqual(expected)
})
