/**
 * Sees to it before anything is started that the ports are free: uWebSockets.js shares a port with any other
 * process of its kind (SO_REUSEPORT) without a word.
 */
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * The port itself, or a free one for 0. Rejects with the system's error (EADDRINUSE, EACCES, EADDRNOTAVAIL).
 */
export async function findPort(host: string, port: number): Promise<number> {
  const server = createServer()
  // Exclusive: neither Node's own sharing nor SO_REUSEPORT lets two succeed.
  server.listen({ host, port, exclusive: true })
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : port
}

/** `host:port`, with brackets around IPv6. */
export function authority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
