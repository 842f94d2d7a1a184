/**
 * Turns the scopes that a client asks a token for into those of the upstream
 * (https://distribution.github.io/distribution/spec/auth/scope/).
 */
import { isRepositoryName } from './path.ts'

export type Place = { upstream: number; upstreamRepository: string }

export type UpstreamScopes =
  /** Nothing of what was asked for is served here, or nothing was asked for: signing in. */
  | { kind: 'none' }
  | { kind: 'scopes'; upstream: number; repositories: string[]; scopes: string[] }
  /** Of several registries, which no one token can be for. */
  | { kind: 'mixed' }
  | { kind: 'too-many' }

// A client asks for one or two; a build for one each of its base images.
const maxScopes = 64
const scopePattern = /^repository(?:\([a-z0-9]+\))?:([^:]+):([a-z*,]+)$/

/** `query`: raw, as it came. `findRoute`: null for a repository that is not served. */
export function readScopes(query: string, findRoute: (repository: string) => Place | null): UpstreamScopes {
  const asked = new URLSearchParams(query).getAll('scope').flatMap((scope) => scope.split(/\s+/))
  if (asked.length > maxScopes) return { kind: 'too-many' }
  const repositories = new Set<string>()
  let upstream = -1
  for (const scope of asked) {
    const [, name = '', actions = ''] = scopePattern.exec(scope) ?? []
    const place = isRepositoryName(name) ? findRoute(name) : null
    // The front is read-only, so a token for anything else would be a danger and no use.
    if (!place || !actions.split(',').some((action) => action === 'pull' || action === '*')) continue
    if (upstream >= 0 && upstream !== place.upstream) return { kind: 'mixed' }
    upstream = place.upstream
    repositories.add(place.upstreamRepository)
  }
  if (upstream < 0) return { kind: 'none' }
  return {
    ...{ kind: 'scopes', upstream, repositories: [...repositories] },
    scopes: [...repositories].map((repository) => `repository:${repository}:pull`),
  }
}
