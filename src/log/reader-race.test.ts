import fs from 'node:fs'
import { expect, test, vi } from 'vitest'
import { createFolder, flipByte, info, openReader, payloadOf, stream, textsOf } from './log.fixture.ts'
import { segmentFile } from './segments.ts'
import { createLogWriter } from './writer.ts'

const hooks = { beforeSearch: () => {} }

vi.mock('./search.ts', async (importActual) => {
  const actual = await importActual<typeof import('./search.ts')>()
  const findFrame: typeof actual.findFrame = (...place) => {
    hooks.beforeSearch()
    return actual.findFrame(...place)
  }
  return { ...actual, findFrame }
})

test('a frame that is completed, and followed by another, during the search after it is not taken for damage', async () => {
  const directory = createFolder()
  const writer = createLogWriter({ directory, stream })
  for (const text of ['one', 'two', 'three']) writer.append(payloadOf(text), info)
  await writer.close()
  const file = segmentFile(directory, stream, 1)
  const whole = fs.readFileSync(file)
  // As a reader can see it while the writer is at work: the second frame's length is there, its bytes are not yet.
  flipByte(directory, 1, 35 + 34)
  let searches = 0
  hooks.beforeSearch = () => {
    searches += 1
    fs.writeFileSync(file, whole)
  }
  const { reader, corruptions } = openReader(directory)
  expect(textsOf(await reader.read(1000))).toEqual(['one', 'two', 'three'])
  expect(searches).toBe(1)
  expect(corruptions).toEqual([])
})
