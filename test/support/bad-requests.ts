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

const lengths: Record<string, string> = {
  'two that differ': 'Content-Length: 0\r\nContent-Length: 5',
  'two that are the same': 'Content-Length: 5\r\nContent-Length: 5',
  'two zeros, then one': 'Content-Length: 0\r\nContent-Length: 0\r\nContent-Length: 4',
  'a list that differs': 'Content-Length: 0, 5',
  'a list of the same': 'Content-Length: 0, 0',
  negative: 'Content-Length: -1',
  'minus zero': 'Content-Length: -0',
  'with a plus': 'Content-Length: +5',
  'octal-looking': 'Content-Length: 05',
  'many zeros': 'Content-Length: 0000',
  hexadecimal: 'Content-Length: 0x5',
  'with an underscore': 'Content-Length: 1_0',
  'with a space inside': 'Content-Length: 1 0',
  'with a tab inside': 'Content-Length: 1\t0',
  empty: 'Content-Length:',
  'blanks only': 'Content-Length:   ',
  'not a number': 'Content-Length: abc',
  fractional: 'Content-Length: 0.0',
  'of twenty digits': 'Content-Length: 99999999999999999999',
  'that wraps 64 bits': 'Content-Length: 18446744073709551616',
  quoted: 'Content-Length: "0"',
  'with a semicolon': 'Content-Length: 0;5',
}

const codings: Record<string, string> = {
  chunked: 'Transfer-Encoding: chunked',
  'in capitals': 'Transfer-Encoding: CHUNKED',
  'almost chunked': 'Transfer-Encoding: xchunked',
  identity: 'Transfer-Encoding: identity',
  empty: 'Transfer-Encoding:',
  'chunked twice': 'Transfer-Encoding: chunked, chunked',
  'on two lines': 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
  'on two lines that differ': 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
  'comma at the end': 'Transfer-Encoding: chunked,',
  'comma at the start': 'Transfer-Encoding: ,chunked',
  'chunked before another': 'Transfer-Encoding: chunked, gzip',
  'another before chunked': 'Transfer-Encoding: gzip, chunked',
  'with a parameter': 'Transfer-Encoding: chunked;a=b',
  quoted: 'Transfer-Encoding: "chunked"',
  'vertical tab': 'Transfer-Encoding: \x0bchunked',
  'form feed': 'Transfer-Encoding: \x0cchunked',
  NUL: 'Transfer-Encoding: chunked\x00',
  folded: 'Transfer-Encoding:\r\n chunked',
  'blank before the colon': 'Transfer-Encoding : chunked',
  'tab before the value': 'Transfer-Encoding:\tchunked',
  'with a length before': 'Content-Length: 5\r\nTransfer-Encoding: chunked',
  'with a length after': 'Transfer-Encoding: chunked\r\nContent-Length: 5',
  'with a zero length': 'Content-Length: 0\r\nTransfer-Encoding: chunked',
}

const chunkBodies: Record<string, string> = {
  whole: '1\r\na\r\n0\r\n\r\n',
  empty: '0\r\n\r\n',
  'data longer than its size': '1\r\nabc\r\n0\r\n\r\n',
  'an extension': '1;a=b\r\na\r\n0\r\n\r\n',
  'a bare semicolon': '1;\r\na\r\n0\r\n\r\n',
  'an extension with a line end': '1;a\nb\r\na\r\n0\r\n\r\n',
  'bare line ends': '1\na\n0\n\n',
  'a letter past hexadecimal': 'g\r\na\r\n0\r\n\r\n',
  'a prefix': '0x1\r\na\r\n0\r\n\r\n',
  'a negative size': '-1\r\na\r\n0\r\n\r\n',
  'a blank before the size': ' 1\r\na\r\n0\r\n\r\n',
  'an enormous size': 'fffffffffffffffff\r\na\r\n0\r\n\r\n',
  'an end without its line': '0\r\nXX',
  trailers: '0\r\nX-Trailer: 1\r\n\r\n',
  'a trailer that frames': '0\r\nContent-Length: 5\r\n\r\n',
}

const rest: Record<string, string> = { P03: '\r\n\r\nabcde', P04: '\r\n\r\n0\r\n\r\n' }

/** P03: lengths that two readers could read in two ways, or that announce a body. */
export const badLengths: BadRequest[] = Object.entries(lengths).map(([name, lines]) => ({
  name,
  bytes: `${start}${lines}${rest['P03']}`,
}))

/** P04: transfer codings of any kind. */
export const badCodings: BadRequest[] = Object.entries(codings).map(([name, lines]) => ({
  name,
  bytes: `${start}${lines}${rest['P04']}`,
}))

/** P05: bodies in which another reader would find a request. */
export function smugglingBodies(smuggled: string): BadRequest[] {
  const both = (length: number) => `Content-Length: ${length}\r\nTransfer-Encoding: chunked`
  return [
    ...Object.entries(chunkBodies).map(([name, body]) => ({
      name: `chunks: ${name}`,
      bytes: `${start}Transfer-Encoding: chunked\r\n\r\n${body}`,
    })),
    { name: 'length wins', bytes: `${start}${both(smuggled.length + 5)}\r\n\r\n0\r\n\r\n${smuggled}` },
    { name: 'coding wins', bytes: `${start}${both(5)}\r\n\r\n0\r\n\r\n${smuggled}` },
    {
      name: 'coding hidden by a blank',
      bytes: `${start}Content-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    },
    {
      name: 'length of the request inside',
      bytes: `${start}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    },
    {
      name: 'closed on demand',
      bytes: `${start}Connection: close\r\n${both(5)}\r\n\r\n0\r\n\r\n${smuggled}`,
    },
    {
      name: 'by POST',
      bytes: `POST ${target} HTTP/1.1\r\nHost: a\r\n${both(5)}\r\n\r\n0\r\n\r\n${smuggled}`,
    },
    {
      name: 'chunk as large as the request inside',
      bytes: `${start}Transfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
    },
  ]
}

/** P07: bodies where none is looked for. */
export function unexpectedBodies(smuggled: string): BadRequest[] {
  const length = `Content-Length: ${smuggled.length}`
  return [
    { name: 'HEAD', bytes: `HEAD ${target} HTTP/1.1\r\nHost: a\r\n${length}\r\n\r\n${smuggled}` },
    {
      name: 'HEAD, chunked',
      bytes: `HEAD ${target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    },
    { name: 'OPTIONS', bytes: `OPTIONS ${target} HTTP/1.1\r\nHost: a\r\n${length}\r\n\r\n${smuggled}` },
    { name: 'GET whose body begins like a request', bytes: `${start}${length}\r\n\r\n${smuggled}` },
    { name: 'ping', bytes: `GET /v2/ HTTP/1.1\r\nHost: a\r\n${length}\r\n\r\n${smuggled}` },
    { name: 'token', bytes: `GET /token HTTP/1.1\r\nHost: a\r\n${length}\r\n\r\n${smuggled}` },
    {
      name: 'nothing at that path',
      bytes: `GET /nothing HTTP/1.1\r\nHost: a\r\n${length}\r\n\r\n${smuggled}`,
    },
    { name: 'DELETE', bytes: `DELETE ${target} HTTP/1.1\r\nHost: a\r\n${length}\r\n\r\n${smuggled}` },
    { name: 'a loop', bytes: `${start}Via: 1.1 waybill\r\n${length}\r\n\r\n${smuggled}` },
  ]
}

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
    '64 KiB': `/v2/${'a'.repeat(65_536)}/manifests/1.0`,
    '64 KiB of query': `${target}?${'a'.repeat(65_536)}`,
  }).map(([name, path]) => ({ name, bytes: `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n` })),
]

/** P12: other forms of target, other versions. */
export const otherForms: BadRequest[] = [
  { name: 'absolute form', bytes: `GET http://a${target} HTTP/1.1\r\nHost: a\r\n\r\n` },
  { name: 'authority form', bytes: 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n' },
  { name: 'asterisk form', bytes: 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n' },
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
  { name: 'bare LF throughout', bytes: `GET ${target} HTTP/1.1\nHost: a\n\n` },
  { name: 'an empty line first', bytes: `\r\n${start}\r\n` },
  { name: 'a blank line before the fields', bytes: `GET ${target} HTTP/1.1\r\n Host: a\r\n\r\n` },
  { name: 'two blanks in the first line', bytes: `GET  ${target} HTTP/1.1\r\nHost: a\r\n\r\n` },
  { name: 'a tab in the first line', bytes: `GET\t${target} HTTP/1.1\r\nHost: a\r\n\r\n` },
  { name: 'something after the version', bytes: `GET ${target} HTTP/1.1 x\r\nHost: a\r\n\r\n` },
]
