/** Collects lines of text as UTF-8, without a string of all of them: joining and encoding that takes twice as long. */

const firstBytes = 1 << 20
/** UTF-8 of one UTF-16 unit at most. */
const bytesPerUnit = 3
const lineEnd = 10

export function createLineBuffer() {
  // Kept for the next batch: it becomes as large as the largest one needs.
  let bytes = Buffer.allocUnsafeSlow(firstBytes)
  let length = 0

  return {
    /** One line, in two parts if one likes: putting them together first would copy both. */
    push(line: string, rest = '') {
      const most = length + bytesPerUnit * (line.length + rest.length) + 1
      if (most > bytes.length) {
        const larger = Buffer.allocUnsafeSlow(Math.max(most, 2 * bytes.length))
        bytes.copy(larger, 0, 0, length)
        bytes = larger
      }
      length += bytes.write(line, length)
      if (rest !== '') length += bytes.write(rest, length)
      bytes[length++] = lineEnd
    },
    /** A copy of all lines, each with its line feed; the buffer is empty afterwards. */
    take(): Buffer {
      const taken = Buffer.allocUnsafeSlow(length)
      bytes.copy(taken, 0, 0, length)
      length = 0
      return taken
    },
    clear() {
      length = 0
    },
  }
}
