/** Requests that a front must not serve, by the row of the catalogue that each belongs to; `after` follows them. */

export type BadRequest = {
  name: string
  /** Complete heads, with a body where there is one; a good request follows in the same packet. */
  bytes: string
  /** Instead of `GET … HTTP/1.1`, a Host line and an empty line. */
  statuses?: readonly number[]
}

const target = '/v2/app/manifests/1.0'
const start = `GET ${target} HTTP/1.1\r\nHost: a\r\n`

/** P09: hosts that are none, or several. */
export const badHosts: BadRequest[] = Object.entries({
  missing: 'X: y',
  empty: 'Host:',
  two: 'Host: a\r\nHost: b',
  'two, the same': 'Host: a\r\nHost: a',
  'a list': 'Host: a, b',
  'user information': 'Host: user@a',
  'a path': 'Host: a/b',
  'a query': 'Host: a?b',
  'a fragment': 'Host: a#b',
  'a blank': 'Host: a b',
  'angle brackets': 'Host: <a>',
  'a backslash': 'Host: a\\b',
  'a quotation mark': 'Host: a"b',
  'a percent sign': 'Host: a%41',
  'not ASCII': 'Host: h\xc3\xb6st',
  'a port that is none': 'Host: a:b',
  'a port too large': 'Host: a:65536',
  'two ports': 'Host: a:1:2',
  'an open bracket': 'Host: [::1',
  'a scheme': 'Host: http://a',
}).map(([name, line]) => ({ name, bytes: `GET ${target} HTTP/1.1\r\n${line}\r\n\r\n` }))

/** P10: methods that are not served. */
export const badMethods: BadRequest[] = Object.entries({
  'lower case': 'get',
  'mixed case': 'Get',
  'a bracket inside': 'GE(T',
  'a slash': 'G/T',
  'a quotation mark': '"GET"',
  empty: '',
  'eight thousand letters': 'A'.repeat(8000),
  'twenty thousand letters': 'A'.repeat(20_000),
  TRACE: 'TRACE',
  CONNECT: 'CONNECT',
  unknown: 'BREW',
  PRI: 'PRI',
  'not ASCII': 'G\xc3\x89T',
}).map(([name, method]) => ({ name, bytes: `${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n` }))

/** P11: targets that are not passed on as they came; those of the second list are. */
export const badTargets: BadRequest[] = [
  ...Object.entries({
    fragment: `${target}#x`,
    'fragment in the query': `${target}?a#b`,
    backslash: '/v2\\app/manifests/1.0',
    'quotation mark': `${target}?"`,
    'angle brackets': `${target}?<>`,
    DEL: `${target}?\x7f`,
    'DEL in the path': `/v2/app/manifests/1.0\x7f`,
    'a control character': `${target}?\x01`,
    'a tab': `${target}?\t`,
    'Latin-1': `${target}?\xe9`,
    'Latin-1 in the path': '/v2/app/manifests/\xe9',
    'UTF-8': `${target}?\xc3\xa9`,
    'overlong UTF-8': `${target}?\xc0\xaf`,
    'overlong UTF-8 in the path': '/v2/app\xc0\xaf/manifests/1.0',
    'encoded NUL': '/v2/app/manifests/%00',
    'encoded line end': '/v2/app/manifests/1.0%0d%0aX:%20y',
    dots: '/v2/app/../other/manifests/1.0',
    'dots at the end': '/v2/app/manifests/..',
    'one dot': '/v2/./app/manifests/1.0',
    'encoded dots': '/v2/app/%2e%2e/other/manifests/1.0',
    'half encoded dots': '/v2/app/.%2e/other/manifests/1.0',
    'encoded slash': '/v2/app%2fother/manifests/1.0',
    'two slashes': '/v2//app/manifests/1.0',
    'two slashes first': '//v2/app/manifests/1.0',
    'slash at the end': `${target}/`,
    semicolon: '/v2/app;x/manifests/1.0',
    'encoded letter': '/v2/%61pp/manifests/1.0',
    'twice encoded': '/v2/app/%252e%252e/manifests/1.0',
    'without its slash': 'v2/app/manifests/1.0',
    NUL: '/v2/app/manifests/1.0\x00',
    'a blank': '/v2/app/manifests/1.0 x',
    nothing: '',
    'two and a fragment of a host': '//a@b/v2/app/manifests/1.0',
    '64 KiB': `/v2/${'a'.repeat(65_536)}/manifests/1.0`,
    '64 KiB of query': `${target}?${'a'.repeat(65_536)}`,
  }).map(([name, path]) => ({ name, bytes: `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n` })),
]

/** P12: other forms of target, other versions. */
export const otherForms: BadRequest[] = [
  { name: 'absolute form', bytes: `GET http://a${target} HTTP/1.1\r\nHost: a\r\n\r\n` },
  { name: 'authority form', bytes: 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n' },
  { name: 'asterisk form', bytes: 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n' },
  { name: 'asterisk form of GET', bytes: 'GET * HTTP/1.1\r\nHost: a\r\n\r\n' },
  { name: 'absolute form of another host', bytes: `GET http://b${target} HTTP/1.1\r\nHost: a\r\n\r\n` },
  { name: 'another scheme', bytes: `GET ftp://a${target} HTTP/1.1\r\nHost: a\r\n\r\n` },
  { name: 'HTTP/1', bytes: `GET ${target} HTTP/1\r\nHost: a\r\n\r\n` },
  { name: 'HTTP/01.01', bytes: `GET ${target} HTTP/01.01\r\nHost: a\r\n\r\n` },
  { name: 'HTTP/ 1.1', bytes: `GET ${target} HTTP/ 1.1\r\nHost: a\r\n\r\n` },
  { name: 'HTTP/9.9', bytes: `GET ${target} HTTP/9.9\r\nHost: a\r\n\r\n` },
  {
    name: 'HTTP/1.0 with a coding',
    bytes: `GET ${target} HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  },
  { name: 'HTTP/1.0', bytes: `GET ${target} HTTP/1.0\r\nHost: a\r\n\r\n` },
  { name: 'HTTP/1.2', bytes: `GET ${target} HTTP/1.2\r\nHost: a\r\n\r\n` },
  { name: 'HTTP/2.0', bytes: `GET ${target} HTTP/2.0\r\nHost: a\r\n\r\n` },
  { name: 'HTTP/11', bytes: `GET ${target} HTTP/11\r\nHost: a\r\n\r\n` },
  { name: 'http/1.1', bytes: `GET ${target} http/1.1\r\nHost: a\r\n\r\n` },
  { name: 'the preface of HTTP/2', bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' },
  { name: 'HTTP/0.9', bytes: `GET ${target}\r\n\r\n` },
]

/** P13: lines that are none. */
export const badLines: BadRequest[] = [
  ...Object.entries({
    'a folded line': 'X: a\r\n b',
    'a line folded by a tab': 'X: a\r\n\tb',
    'a blank before the colon': 'X : a',
    'a tab before the colon': 'X\t: a',
    'a blank at the start': ' X: a',
    'NUL in a value': 'X: a\x00b',
    'a control character in a value': 'X: a\x01b',
    'DEL in a value': 'X: a\x7fb',
    'a tab in a name': 'X\ty: a',
    'a blank in a name': 'X y: a',
    'NUL in a name': 'X\x00: a',
    'brackets in a name': 'X(y): a',
    'not ASCII in a name': 'X\xe9: a',
    'no colon': 'X',
    'a bare CR in a value': 'X: a\rb',
    'a bare LF': 'X: a\nY: b',
  }).map(([name, line]) => ({ name, bytes: `${start}${line}\r\n\r\n` })),
  { name: 'bare CR throughout', bytes: `GET ${target} HTTP/1.1\rHost: a\r\r` },
  { name: 'a bare LF after the first line', bytes: `GET ${target} HTTP/1.1\nHost: a\r\n\r\n` },
  { name: 'a bare CR before the end', bytes: `${start}\rX: a\r\n\r\n` },
  { name: 'a line of blanks', bytes: ` \t \r\n${start}\r\n` },
  { name: 'a line of blanks among the fields', bytes: `${start} \t \r\n\r\n` },
  { name: 'something before the method', bytes: `x y${start}\r\n` },
  {
    name: 'a handshake of TLS',
    bytes: `\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03${'\x00'.repeat(160)}\r\n\r\n`,
  },
  { name: 'ten thousand fields', bytes: `${start}${'X: a\r\n'.repeat(10_000)}\r\n` },
  { name: 'a name of 100 KB', bytes: `${start}${'x'.repeat(100_000)}: a\r\n\r\n` },
  { name: 'a value of 100 KB', bytes: `${start}X: ${'x'.repeat(100_000)}\r\n\r\n` },
  { name: 'bare LF throughout', bytes: `GET ${target} HTTP/1.1\nHost: a\n\n` },
  { name: 'an empty line first', bytes: `\r\n${start}\r\n` },
  { name: 'a blank line before the fields', bytes: `GET ${target} HTTP/1.1\r\n Host: a\r\n\r\n` },
  { name: 'two blanks in the first line', bytes: `GET  ${target} HTTP/1.1\r\nHost: a\r\n\r\n` },
  { name: 'a tab in the first line', bytes: `GET\t${target} HTTP/1.1\r\nHost: a\r\n\r\n` },
  { name: 'something after the version', bytes: `GET ${target} HTTP/1.1 x\r\nHost: a\r\n\r\n` },
]
