/**
 * The only place that touches the environment; everything else gets what it needs handed in.
 */

export function readEnvironment(): Readonly<Record<string, string | undefined>> {
  return { ...process.env }
}

/** Largest request head in bytes; uWebSockets.js reads it when it is loaded, so no thread may run yet. */
export function setHeaderLimit(bytes: number): void {
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = String(bytes)
}
