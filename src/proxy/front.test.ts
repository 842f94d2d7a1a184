import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
const numbersIn = (text: string, pattern: RegExp): number[] =>
  [...text.matchAll(pattern)].map(([, number]) => Number(number))

test('the documented list of decisions has the steps of the code, in its order', () => {
  const [list = ''] = read('../../docs/request-handling.md').split('\n## ')
  const documented = numbersIn(list, /^(\d+)\. \*\*/gm)
  expect(documented).toEqual(documented.map((_, index) => index + 1))
  expect(numbersIn(read('./front.ts'), /^ +\/\/ (\d+)\. /gm)).toEqual(documented)
})
