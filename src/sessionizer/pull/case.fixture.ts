/**
 * Tables of pulls, each in lines with the events that they come to, and a test of every row.
 */
import { expect, test } from 'vitest'
import type { PackageEvent } from '../../record/events.ts'
import type { Graph } from '../types.ts'
import { createImageGraph, digestOf, parseFacts, run, type SessionSpec, sizeOf } from './session.fixture.ts'

/** What a pull of the image is made of, line by line, and what it comes to. */
export const root = ['0.0 HEAD manifests/t', '0.1 GET manifests/I', '0.2 GET manifests/M']
export const blobs = ['0.3 GET blobs/C', '0.4 GET blobs/L1', '0.5 GET blobs/L2', '0.6 GET blobs/L3']
export const whole = { type: 'pull', kind: 'full', tag: 't', digest: digestOf('I') }

export function totalSize(...names: string[]): number {
  return names.reduce((sum, name) => sum + sizeOf(name), 0)
}

export type Case = {
  name: string
  log: string[]
  /** That of the image. */
  graph?: Graph
  spec?: SessionSpec
  expect: Partial<Record<keyof PackageEvent, unknown>>[]
}

/** A test of each: all is decided, and these are the events. */
export function testCases(groups: Record<string, readonly Case[]>): void {
  const image = createImageGraph()
  for (const [group, table] of Object.entries(groups)) {
    for (const row of table) {
      test(`${group}: ${row.name}`, () => {
        const { finished, remaining } = run(parseFacts(row.log, row.spec), row.graph ?? image)
        expect(finished.map(({ event }) => event)).toEqual(
          row.expect.map((one) => expect.objectContaining(one)),
        )
        expect(remaining).toEqual([])
      })
    }
  }
}
