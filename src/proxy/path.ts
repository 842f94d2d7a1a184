/**
 * Parses the path of a request into what it asks for, from the right: a repository name may itself hold
 * parts called `manifests`, `blobs` or `tags` (OCI distribution spec 1.1, "Pull").
 */
import type { RequestClass } from '../record/record.ts'

export type Target = {
  class: RequestClass
  /** '' where the class has none. */
  repository: string
  /** Tag or digest; '' where the class has none. */
  reference: string
}

/** What `class: 'other'` paths are told apart by; the server answers them itself. */
export const localPaths = { readyz: '/readyz', privacy: '/privacy', token: '/token' } as const

// OCI distribution spec 1.1 "Pulling manifests": <name>; 255 is the limit of most clients.
const repositoryPattern =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const maxRepositoryLength = 255

// Wider than tags and digests: a malformed reference is the upstream's to refuse, with its own words. But none
// that is a step in a path: `..` would ask it for something else.
const referencePattern = /^[A-Za-z0-9_][A-Za-z0-9_.:+=-]{0,254}$/

const ping: Target = { class: 'ping', repository: '', reference: '' }
const token: Target = { class: 'token', repository: '', reference: '' }
const other: Target = { class: 'other', repository: '', reference: '' }

export function isRepositoryName(name: string): boolean {
  return name.length <= maxRepositoryLength && repositoryPattern.test(name)
}

export function isDigest(reference: string): boolean {
  return reference.includes(':')
}

/** `path` is the raw request path without query; anything that is not served as asked comes back as `other`. */
export function parsePath(path: string): Target {
  if (path === '/v2/' || path === '/v2') return ping
  if (path === localPaths.token) return token
  if (!path.startsWith('/v2/')) return other
  const last = path.lastIndexOf('/')
  const kindStart = path.lastIndexOf('/', last - 1)
  // `/v2/<name>/<kind>/<reference>`: the name lies between the fourth character and kindStart.
  if (kindStart <= 3) return other
  const repository = path.slice(4, kindStart)
  const reference = path.slice(last + 1)
  const targetClass = classOf(path.slice(kindStart + 1, last), reference)
  if (targetClass === 'other' || !isRepositoryName(repository)) return other
  return { class: targetClass, repository, reference: targetClass === 'tags' ? '' : reference }
}

function classOf(kind: string, reference: string): RequestClass {
  switch (kind) {
    case 'manifests':
      return referencePattern.test(reference) ? 'manifest' : 'other'
    case 'blobs':
      return referencePattern.test(reference) ? 'blob' : 'other'
    case 'referrers':
      return referencePattern.test(reference) ? 'referrers' : 'other'
    case 'tags':
      return reference === 'list' ? 'tags' : 'other'
    default:
      return 'other'
  }
}
