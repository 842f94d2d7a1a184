/** A clock that stands still while anyone works, and goes on to the next moment that someone waits for. */
import { setImmediate as turn } from 'node:timers/promises'

export type VirtualTime = {
  /** Unix ms, with fractions. */
  nowMs(): number
  delay(ms: number): Promise<void>
  /** Until nobody waits any more. */
  run(): Promise<void>
}

type Waiting = { atMs: number; order: number; wake: () => void }

const isBefore = (a: Waiting, b: Waiting): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

/** A binary heap: a storm has thousands who wait. */
function createHeap(): { push(one: Waiting): void; pop(): Waiting | undefined } {
  const heap: Waiting[] = []
  const at = (index: number): Waiting => heap[index] as Waiting
  function swap(a: number, b: number): void {
    const first = at(a)
    heap[a] = at(b)
    heap[b] = first
  }
  return {
    push(one) {
      let index = heap.push(one) - 1
      for (let up = (index - 1) >> 1; index > 0 && isBefore(at(index), at(up)); up = (index - 1) >> 1) {
        swap(index, up)
        index = up
      }
    },
    pop() {
      if (heap.length === 0) return undefined
      swap(0, heap.length - 1)
      const first = heap.pop()
      for (let index = 0; ; ) {
        let next = index
        for (const child of [2 * index + 1, 2 * index + 2])
          if (child < heap.length && isBefore(at(child), at(next))) next = child
        if (next === index) return first
        swap(index, next)
        index = next
      }
    },
  }
}

export function createVirtualTime(startMs: number): VirtualTime {
  const heap = createHeap()
  let nowMs = startMs
  let order = 0
  return {
    nowMs: () => nowMs,
    delay: (ms) => new Promise((wake) => heap.push({ atMs: nowMs + Math.max(0, ms), order: order++, wake })),
    async run() {
      // A turn of the event loop comes after all promises that can go on.
      await turn()
      for (let next = heap.pop(); next !== undefined; next = heap.pop()) {
        nowMs = next.atMs
        next.wake()
        await turn()
      }
    },
  }
}
