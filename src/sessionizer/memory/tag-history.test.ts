/**
 * What a digest was called at a time, whatever the order in which sightings came and however often they were thinned.
 */
import { expect, test } from 'vitest'
import { createRandom } from '../../../test/support/random.ts'
import { createGraph, digestOf, parseFact, parseFacts, run } from '../pull/session.fixture.ts'
import { createTagHistory, sightingOf, type TagSighting } from './tag-history.ts'

const see = (timeMs: number, tag: string, digest: string): TagSighting => ({ tag, digest, timeMs })

test('what says of a tag which digest it has: answers to HEAD and GET by tag alone', () => {
  const seen = (line: string) => sightingOf(parseFact(line, 1))
  const tag = { tag: 't', digest: digestOf('I') }
  expect(seen('0 HEAD manifests/t')).toMatchObject(tag)
  expect(seen('0 GET manifests/t')).toMatchObject(tag)
  for (const line of ['HEAD manifests/t 404', 'GET manifests/t nodigest', 'GET manifests/I', 'GET tags/list'])
    expect(seen(`0 ${line}`), line).toBeNull()
  expect(seen('0 GET manifests/sha256-hex(I).sig')).toBeNull()
})

test('the tag that had the digest then, not before and not since', () => {
  const history = createTagHistory([
    see(1000, 'latest', 'A'),
    see(5000, 'latest', 'B'),
    see(9000, 'latest', 'A'),
  ])
  const at = (timeMs: number) => [history.tagAt('A', timeMs), history.tagAt('B', timeMs)]
  expect([999, 1000, 4999, 5000, 8999, 9000].map(at)).toEqual([
    [null, null],
    ['latest', null],
    ['latest', null],
    [null, 'latest'],
    [null, 'latest'],
    ['latest', null],
  ])
})

test('of several tags the one that moved least, then the longest', () => {
  const history = createTagHistory([
    see(1000, 'latest', 'A'),
    see(1000, '1', 'A'),
    see(2000, 'latest', 'B'),
    see(2000, '1', 'B'),
    see(2000, '1.2', 'B'),
    see(2000, '1.2.0', 'B'),
  ])
  expect(history.tagAt('B', 3000)).toBe('1.2.0')
  expect(history.tagAt('A', 1500)).toBe('latest')
})

test('the order of sightings, repeats and thinning change no answer', () => {
  for (let seed = 1; seed <= 25; seed += 1) {
    const random = createRandom(seed)
    const sightings = Array.from({ length: 80 }, () =>
      see(
        random.below(200) * 1000 + random.below(4) * 250,
        `tag ${random.below(3)}`,
        `digest ${random.below(3)}`,
      ),
    )
    const naive = (digest: string, timeMs: number): boolean =>
      ['tag 0', 'tag 1', 'tag 2'].some((tag) => {
        const ofTag = sightings.filter((one) => one.tag === tag)
        const second = (one: TagSighting) => `${one.digest} ${Math.floor(one.timeMs / 1000)}`
        // Within a second only the first sighting of each digest counts.
        const first = (one: TagSighting) =>
          ofTag.every((other) => second(other) !== second(one) || other.timeMs >= one.timeMs)
        const before = ofTag.filter((one) => first(one) && one.timeMs <= timeMs)
        before.sort((a, b) => a.timeMs - b.timeMs || (a.digest < b.digest ? -1 : 1))
        return before.at(-1)?.digest === digest
      })
    const inOrder = createTagHistory()
    for (const sighting of sightings.toSorted((a, b) => a.timeMs - b.timeMs)) inOrder.note(sighting)
    let history = createTagHistory()
    // Each comes at most 30 s late, and some twice.
    const arrivals = [...sightings, ...sightings.slice(0, 20)].map((sighting) => ({
      sighting,
      atMs: sighting.timeMs + random.below(30_000),
    }))
    for (const { sighting, atMs } of arrivals.sort((a, b) => a.atMs - b.atMs)) {
      history.thin(atMs - 30_000)
      expect(history.note(sighting)).toBe(true)
      if (random.below(10) === 0) history = createTagHistory(history.rows(), history.thinnedMs())
    }
    for (let timeMs = 0; timeMs <= 200_000; timeMs += 250) {
      for (const digest of ['digest 0', 'digest 1', 'digest 2']) {
        const tag = history.tagAt(digest, timeMs)
        expect(tag, `seed ${seed}`).toBe(inOrder.tagAt(digest, timeMs))
        expect(tag !== null).toBe(naive(digest, timeMs))
      }
    }
  }
})

test('a busy tag takes little room, and what was thinned takes nothing that came too late', () => {
  const history = createTagHistory()
  for (let timeMs = 0; timeMs < 600_000; timeMs += 10) history.note(see(timeMs, 't', 'A'))
  expect(history.rows()).toHaveLength(600)
  history.thin(600_000)
  expect(history.rows()).toEqual([see(0, 't', 'A')])
  expect(history.note(see(599_999, 't', 'B'))).toBe(false)
  for (let tag = 0; tag < 3000; tag += 1) history.note(see(600_000 + tag, `commit-${tag}`, 'C'))
  for (let change = 0; change < 300; change += 1) history.note(see(700_000 + change * 1000, 't', `${change}`))
  history.thin(2_000_000)
  const rows = history.rows()
  expect(new Set(rows.map(({ tag }) => tag)).size).toBe(1024)
  expect(rows.filter(({ tag }) => tag === 't')).toHaveLength(64)
  expect(history.tagAt('299', 2_000_000)).toBe('t')
})

test('a pull by digest has the tag that another session saw; one that the session knows itself comes first', () => {
  const history = createTagHistory()
  const [other] = parseFacts(['0 HEAD manifests/1.2.3'])
  const sighting = other && sightingOf(other)
  if (sighting) history.note(sighting)
  const others = { tagAt: history.tagAt }
  const graph = createGraph({})
  const tagsOf = (lines: string[]) =>
    run(parseFacts(lines), graph, { others }).finished.map(({ event }) => [event.tag, event.tag_source])
  expect(tagsOf(['5 GET manifests/I'])).toEqual([['1.2.3', 'inferred']])
  expect(tagsOf(['5 HEAD manifests/I'])).toEqual([['1.2.3', 'inferred']])
  expect(tagsOf(['5 GET manifests/t'])).toEqual([['t', 'requested']])
  expect(tagsOf(['5 GET manifests/M'])).toEqual([[null, null]])
  expect(tagsOf(['5 HEAD manifests/t', '20 GET manifests/I'])).toEqual([
    ['t', 'requested'],
    ['t', 'inferred'],
  ])
})
