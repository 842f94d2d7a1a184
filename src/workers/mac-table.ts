/** A table whose keys are MACs of 64 bits: spread by themselves, and never chosen by those they are made of. */

export type MacTable<Value> = {
  /** `mac`: two words. */
  find(mac: Int32Array): Value | undefined
  /** False when the table is full. The key is none that it has. */
  tryAdd(mac: Int32Array, value: Value): boolean
  clear(): void
}

export function createMacTable<Value extends object>(maxKeys: number): MacTable<Value> {
  // At most half full, so that a probe is short.
  const slots = 2 ** Math.ceil(Math.log2(2 * maxKeys))
  const mask = slots - 1
  const words = new Int32Array(2 * slots)
  let values: (Value | undefined)[] = new Array(slots).fill(undefined)
  let size = 0

  return {
    find(mac) {
      const low = mac[0]!
      const high = mac[1]!
      let slot = low & mask
      for (let value = values[slot]; value !== undefined; value = values[slot]) {
        if (words[2 * slot] === low && words[2 * slot + 1] === high) return value
        slot = (slot + 1) & mask
      }
      return undefined
    },
    tryAdd(mac, value) {
      if (size >= maxKeys) return false
      let slot = mac[0]! & mask
      while (values[slot] !== undefined) slot = (slot + 1) & mask
      words[2 * slot] = mac[0]!
      words[2 * slot + 1] = mac[1]!
      values[slot] = value
      size++
      return true
    },
    clear() {
      if (size === 0) return
      words.fill(0)
      values = new Array(slots).fill(undefined)
      size = 0
    },
  }
}
