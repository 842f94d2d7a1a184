/**
 * Steps on the way (1xx) that nobody asked for: any may come before an answer (RFC 9110 15.2), but undici takes a `100`
 * for an error. They are taken out of a connection's first answer, before undici reads it.
 */
import type { Socket } from 'node:net'
import { buildConnector } from 'undici'

// Of such heads together; the answer's own head has undici's limit.
const limitBytes = 16 * 1024
const stepPattern = /^HTTP\/1\.1 1(?!01)\d\d[ \r]/
const stepCharacters = 13
const headEnd = Buffer.from('\r\n\r\n')

/**
 * The first bytes of a connection without their steps; null: more must come to tell. After a step the connection is
 * for this answer alone: the next one may begin with one as well, and then it is undici that reads it.
 */
export function withoutSteps(bytes: Buffer): Buffer | null {
  let at = 0
  for (;;) {
    const start = bytes.toString('latin1', at, at + stepCharacters)
    if (start.length < stepCharacters && 'HTTP/1.1 1'.startsWith(start.slice(0, 10))) return null
    if (!stepPattern.test(start)) break
    const end = bytes.indexOf(headEnd, at)
    if (end < 0) return bytes.length < limitBytes ? null : bytes
    at = end + headEnd.length
  }
  if (at === 0) return bytes
  const lineEnd = bytes.indexOf('\r\n', at)
  if (lineEnd < 0) return null
  const close = Buffer.from('\r\nConnection: close')
  return Buffer.concat([bytes.subarray(at, lineEnd), close, bytes.subarray(lineEnd)])
}

/** Reads that give undici what `withoutSteps` leaves; after the first one the socket is as it was. */
function hideSteps(socket: Socket): void {
  const read = socket.read.bind(socket)
  let held: Buffer | null = null
  socket.read = (size?: number): Buffer | null => {
    for (;;) {
      const chunk = read(size) as Buffer | null
      if (chunk === null) return null
      held = held === null ? chunk : Buffer.concat([held, chunk])
      const rest = withoutSteps(held)
      if (rest === null) continue
      Reflect.deleteProperty(socket, 'read')
      return rest
    }
  }
}

/** A connector for undici, of HTTP/1.1 alone. */
export function connectorWithoutSteps(options: buildConnector.BuildOptions): buildConnector.connector {
  const connect = buildConnector({ ...options, allowH2: false })
  return (target, callback) =>
    connect(target, (...[error, socket]) => {
      if (error === null) {
        hideSteps(socket)
        callback(null, socket)
      } else callback(error, null)
    })
}
