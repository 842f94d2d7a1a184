/** Where package events go: to Kafka, to the embedded store, or to both. */

type Sink<Event> = (events: Event[]) => Promise<void>

/**
 * One publisher of both. `topic`: null without Kafka, and where its topic of events is off; then the store is all that
 * there is. Rejects when the events are not where they must be: they are then published again.
 */
export function joinSinks<Event>(topic: Sink<Event> | null, store: Sink<Event>): Sink<Event> {
  if (topic === null) return store
  return async (events) => {
    await topic(events)
    // The store is a local tail then: without room for it events are published all the same.
    await store(events).catch(() => undefined)
  }
}
