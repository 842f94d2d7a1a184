/**
 * What a batch has found out about nonces, by their 16 bytes and a text that goes with them: for as long as the batch
 * runs, and in memory that is zeroed after it, which no string key would be.
 */

export type KeyTable<Value> = {
  /** The value of key and text; what was made is not kept when the table is full. */
  find(key: Uint8Array, text: string): Value
  /** Forgets all keys, texts and values. */
  clear(): void
}

const keyWords = 4
const wordBytes = 4

export function createKeyTable<Value extends object>(
  maxKeys: number,
  make: (key: Uint8Array, text: string) => Value,
): KeyTable<Value> {
  // At most half full, so that a probe is short.
  const slots = 2 ** Math.ceil(Math.log2(2 * maxKeys))
  const mask = slots - 1
  const words = new Int32Array(slots * keyWords)
  const texts: string[] = new Array(slots).fill('')
  const values: (Value | null)[] = new Array(slots).fill(null)
  // Not `new Int32Array(keyWords)`: so few bytes lie in the heap, where the collector leaves copies of them.
  const key = new Int32Array(new ArrayBuffer(keyWords * wordBytes))
  let size = 0

  function read(bytes: Uint8Array): number {
    let hash = 0
    for (let word = 0; word < keyWords; word++) {
      const at = word * wordBytes
      key[word] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      // Multiplier of Knuth's multiplicative hash (TAOCP 6.4); the shift brings the upper bits down to the mask.
      hash = Math.imul(hash ^ key[word]!, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash & mask
  }

  function isAt(slot: number): boolean {
    const at = slot * keyWords
    for (let word = 0; word < keyWords; word++) if (words[at + word] !== key[word]) return false
    return true
  }

  return {
    find(bytes, text) {
      let slot = read(bytes)
      for (let value = values[slot]; value; slot = (slot + 1) & mask, value = values[slot]) {
        if (isAt(slot) && texts[slot] === text) return value
      }
      const value = make(bytes, text)
      if (size < maxKeys) {
        words.set(key, slot * keyWords)
        texts[slot] = text
        values[slot] = value
        size++
      }
      return value
    },
    clear() {
      words.fill(0)
      key.fill(0)
      texts.fill('')
      values.fill(null)
      size = 0
    },
  }
}
