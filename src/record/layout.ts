/**
 * Where each field of a record lies. Encode, decode and the ring's options take every offset from here.
 *
 * ```
 *        0               1               2               3               4   5   6   7
 *      +---------------+---------------+---------------+---------------+----+---+---+---+
 *    0 | frame length (the ring's)                                     |kind|mth|cls|out|
 *    8 | sequence f64                                                                   |
 *   16 | startMs f64                                                                    |
 *   24 | durationMs f64                                                                 |
 *   32 | firstByteMs f64                                                                |
 *   40 | bytesSent f64                                                                  |
 *   48 | offset f64                                                                     |
 *   56 | size f64                                                                       |
 *   64 | address, 16 bytes                                                              |
 *   80 | nonce, 16 bytes                                                                |
 *   96 | domain i32                                    | upstream i32                   |
 *  104 | status u16    | upstream u16  | flags u16     | upstreamRepository length u16  |
 *  112 | userAgent u16 | host u8 | repository u8 | reference u8 | redirectHost u8 | range u8 | digest u8 |
 *  120 | the digest, then the strings in the order of their lengths, Latin-1, no gaps; then up to 7 bytes
 *      | without meaning to a multiple of 8
 * ```
 *
 * Little-endian. A digest of sha256 (64 lower-case hex digits) is its 32 raw bytes, marked by a flag; a
 * reference equal to the digest (most blobs) is a flag alone.
 */

/** Of a frame these first bytes are the ring's. */
export const kindOffset = 4
export const methodOffset = 5
export const classOffset = 6
export const outcomeOffset = 7
export const sequenceOffset = 8
/** f64, little-endian, Unix ms: what the ring's reader calls its timestamp. */
export const startMsOffset = 16
export const durationMsOffset = 24
export const firstByteMsOffset = 32
export const bytesSentOffset = 40
export const offsetOffset = 48
export const sizeOffset = 56
export const addressOffset = 64
export const nonceOffset = 80
export const domainOffset = 96
export const upstreamOffset = 100
export const statusOffset = 104
export const upstreamStatusOffset = 106
export const flagsOffset = 108
export const upstreamRepositoryLengthOffset = 110
export const userAgentLengthOffset = 112
export const hostLengthOffset = 114
export const repositoryLengthOffset = 115
export const referenceLengthOffset = 116
export const redirectHostLengthOffset = 117
export const rangeLengthOffset = 118
export const digestLengthOffset = 119
export const stringsOffset = 120

export const addressBytes = 16
export const nonceBytes = 16
export const sha256Bytes = 32
export const sha256Prefix = 'sha256:'

export const flags = {
  aborted: 1,
  hasNonce: 2,
  /** The digest's string is 32 raw bytes of sha256. */
  digestIsRaw: 4,
  /** The reference is the digest and takes no room. */
  referenceIsDigest: 8,
} as const
