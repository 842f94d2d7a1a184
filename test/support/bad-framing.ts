/** Requests whose body, or the end of it, two readers could see in two places, by the row of the catalogue. */
import type { BadRequest } from './bad-requests.ts'

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
  'with blanks after it': 'Content-Length: 5 \t ',
  'with a vertical tab before it': 'Content-Length: \x0b5',
  'and, with an underscore in its name, another': 'Content_Length: 0\r\nContent-Length: 5',
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
  'folded by a tab': 'Transfer-Encoding:\r\n\tchunked',
  'blank before the colon': 'Transfer-Encoding : chunked',
  'tab inside its name': 'Transfer\tEncoding: chunked',
  'blanks after it': 'Transfer-Encoding: chunked \t ',
  'in mixed case': 'tRANSFER-eNCODING: cHUNKED',
  'two commas': 'Transfer-Encoding: gzip,,chunked',
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
  'a plus before the size': '+1\r\na\r\n+0\r\n\r\n',
  'an underscore in the size': '0_1\r\na\r\n0\r\n\r\n',
  'a blank after the size': '1 \r\na\r\n0 \r\n\r\n',
  'no size': ';a\r\na\r\n0\r\n\r\n',
  'a control character in an extension': '1;a=\x01\r\na\r\n0\r\n\r\n',
  'NUL in an extension': '1;a=\x00\r\na\r\n0\r\n\r\n',
  'a bare CR in an extension': '1;a\rb\r\na\r\n0\r\n\r\n',
  'an extension of 64 KiB': `1;${'a'.repeat(65_536)}\r\na\r\n0\r\n\r\n`,
  'CR alone after the data': '1\r\na\r0\r\n\r\n',
  'LF alone after the data': '1\r\na\n0\r\n\r\n',
  'no line end after the data': '1\r\na0\r\n\r\n',
  'an end too early': '5\r\na',
  'a prefix': '0x1\r\na\r\n0\r\n\r\n',
  'a negative size': '-1\r\na\r\n0\r\n\r\n',
  'a blank before the size': ' 1\r\na\r\n0\r\n\r\n',
  'an enormous size': 'fffffffffffffffff\r\na\r\n0\r\n\r\n',
  'an end without its line': '0\r\nXX',
  trailers: '0\r\nX-Trailer: 1\r\n\r\n',
  'a trailer that frames': '0\r\nContent-Length: 5\r\n\r\n',
  'a trailer that signs in': '0\r\nAuthorization: Bearer x\r\nHost: b\r\n\r\n',
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
