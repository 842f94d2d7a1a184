import fc from 'fast-check'
import { expect, test } from 'vitest'
import { covers } from './repository-pattern.ts'

/** Naive twin: by parts, with every choice of what `**` takes. */
function matches(pattern: readonly string[], name: readonly string[]): boolean {
  const [head, ...rest] = pattern
  if (head === undefined) return name.length === 0
  if (name.length === 0) return false
  if (head !== '**') return (head === '*' || head === name[0]) && matches(rest, name.slice(1))
  return name.some((_, at) => matches(rest, name.slice(at + 1)))
}

const part = fc.constantFrom('a', 'b')
const pattern = fc
  .tuple(fc.array(part, { maxLength: 2 }), fc.constantFrom('*', '**', 'a'), fc.array(part, { maxLength: 2 }))
  .map(([before, middle, after]) => [...before, middle, ...after])

test('a pattern covers another one when it matches every name of it', () => {
  const names: string[][] = [['a'], ['b'], ['c']]
  for (let length = 1, from = 0; length < 7; length++) {
    const to = names.length
    for (; from < to; from++) for (const next of ['a', 'b', 'c']) names.push([...(names[from] ?? []), next])
  }
  fc.assert(
    fc.property(pattern, pattern, (wide, narrow) => {
      const all = names.filter((name) => matches(narrow, name)).every((name) => matches(wide, name))
      expect(covers(wide.join('/'), narrow.join('/'))).toBe(all)
    }),
    { seed: 7, numRuns: 150 },
  )
})
