/**
 * Which partition a key belongs to: murmur2, as every standard Kafka producer does it, in 32-bit
 * arithmetic (kafkajs's own takes a BigInt object for each step).
 */

const seed = 0x9747b28c
const m = 0x5bd1e995
const shift = 24

/** Signed 32-bit murmur2 of the bytes, as `org.apache.kafka.common.utils.Utils.murmur2` gives it. */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length
  let hash = seed ^ length
  const end = length & ~3
  for (let at = 0; at < end; at += 4) {
    let k = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> shift
    k = Math.imul(k, m)
    hash = Math.imul(hash, m) ^ k
  }
  const tail = length - end
  if (tail > 2) hash ^= bytes[end + 2]! << 16
  if (tail > 1) hash ^= bytes[end + 1]! << 8
  if (tail > 0) hash = Math.imul(hash ^ bytes[end]!, m)
  hash ^= hash >>> 13
  hash = Math.imul(hash, m)
  return hash ^ (hash >>> 15)
}

export function choosePartition(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key)) & 0x7fffffff) % partitions
}
