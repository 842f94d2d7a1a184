import { expect, test } from 'vitest'
import { withoutSteps } from './interim-answers.ts'

const final = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab'
const alone = final.replace('\r\n', '\r\nConnection: close\r\n')
const wait = 'HTTP/1.1 100 Continue\r\n\r\n'
const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'

const textOf = (bytes: Buffer | null): string | null => bytes?.toString('latin1') ?? null

test.each([
  ['an answer alone', final, final],
  ['an old answer', final.replace('1.1', '1.0'), final.replace('1.1', '1.0')],
  ['one step', wait + final, alone],
  ['a step without a reason', `HTTP/1.1 100\r\n\r\n${final}`, alone],
  ['several', wait + hints + wait + final, alone],
  ['a switch that nobody asked for', `HTTP/1.1 101 x\r\n\r\n${final}`, `HTTP/1.1 101 x\r\n\r\n${final}`],
  ['a body that looks like one', final + wait, final + wait],
  ['a step that never ends', `HTTP/1.1 100 ${'x'.repeat(16_384)}`, `HTTP/1.1 100 ${'x'.repeat(16_384)}`],
  ['no HTTP', 'SSH-2.0', 'SSH-2.0'],
])('%s', (_name, bytes, expected) => {
  expect(textOf(withoutSteps(Buffer.from(bytes)))).toBe(expected)
})

test('however the bytes are cut, the same comes out', () => {
  for (const [bytes, expected] of [
    [wait + hints + final, alone],
    [final, final],
  ] as const) {
    for (let at = 1; at < bytes.length; at++) {
      const early = textOf(withoutSteps(Buffer.from(bytes.slice(0, at))))
      const whole = early === null ? textOf(withoutSteps(Buffer.from(bytes))) : early + bytes.slice(at)
      expect([at, whole]).toEqual([at, expected])
    }
  }
})
