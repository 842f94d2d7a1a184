import { expect, test } from 'vitest'
import { joinSinks } from './event-sinks.ts'

function createSink(works: boolean) {
  const taken: string[] = []
  return {
    taken,
    async publish(events: string[]): Promise<void> {
      if (!works) throw new Error('no room')
      taken.push(...events)
    },
  }
}

test('with Kafka a store that takes nothing keeps no event back', async () => {
  const [topic, store] = [createSink(true), createSink(false)]
  await joinSinks(topic.publish, store.publish)(['a'])
  expect(topic.taken).toEqual(['a'])
})

test('what Kafka does not take is stored by nobody, and published again', async () => {
  const [topic, store] = [createSink(false), createSink(true)]
  await expect(joinSinks(topic.publish, store.publish)(['a'])).rejects.toThrow('no room')
  expect(store.taken).toEqual([])
})

test('without a topic a store that takes nothing is a failure', async () => {
  await expect(joinSinks(null, createSink(false).publish)(['a'])).rejects.toThrow('no room')
})
