/** Whether a client has already what it asks for. */

/**
 * If-None-Match against the upstream's ETag, and against the digest, which registries take for one even without
 * quotation marks (RFC 9110 13.1.2; `W/` compares weakly).
 */
export function matchesTag(ifNoneMatch: string, digest: string, etag: string): boolean {
  if (ifNoneMatch === '') return false
  if (ifNoneMatch.trim() === '*') return true
  const own = etag.replace(/^W\//, '')
  return ifNoneMatch.split(',').some((tag) => {
    const opaque = tag.trim().replace(/^W\//, '')
    return (own !== '' && opaque === own) || opaque.replaceAll('"', '') === digest
  })
}
