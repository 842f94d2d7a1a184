/** Says which tool sent a request, from its User-Agent. */
import type { Automation } from '../record/events.ts'
import { unknownAgent, userAgentRules } from './user-agent-rules.ts'

export type Agent = {
  /** Name of the tool, null when no rule knows it. */
  tool: string | null
  /** The same for all User-Agents of one tool; never null, part of the client's pseudonym. */
  family: string
  /** Without a leading `v`. podman's is that of its library. */
  version: string | null
  /** Lower case, Go's names (`linux`, `amd64`): of the machine that asks, not of the image. */
  os: string | null
  arch: string | null
  automation: Automation
  /** `cache:<kind>`: it asks on behalf of others; `cache:probable`: a bare library that mirrors use. */
  via: string | null
}

/** A busy public registry sees a few hundred; a hostile one as many as it likes. */
const maxCachedAgents = 4096

/** Longest version kept; the longest seen in the wild has 24 characters. */
const maxVersionLength = 64

const archNames: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
}

function cleanVersion(text: string | undefined): string | null {
  if (text === undefined || text.length > maxVersionLength || !/^[\w.+~:-]+$/.test(text)) return null
  return text.replace(/^v(?=\d)/, '')
}

function cleanName(text: string | undefined): string | null {
  const name = text?.trim().toLowerCase()
  return name !== undefined && /^[a-z0-9._-]{1,32}$/.test(name) ? name : null
}

function parse(userAgent: string): Agent {
  for (const { pattern, tool, family, automation, via } of userAgentRules) {
    const match = pattern.exec(userAgent)
    if (match === null) continue
    const { version, os, arch } = match.groups ?? {}
    const archName = cleanName(arch)
    return {
      tool,
      family,
      version: cleanVersion(version),
      os: cleanName(os),
      arch: archName === null ? null : (archNames[archName] ?? archName),
      automation,
      via,
    }
  }
  return { ...unknownAgent, version: null, os: null, arch: null }
}

/** Returns a parser that remembers what it saw last; its answers are shared and frozen. */
export function createUserAgentParser(maxEntries: number = maxCachedAgents): (userAgent: string) => Agent {
  const known = new Map<string, Agent>()
  // Requests of one client come together.
  let lastUserAgent: string | null = null
  let lastAgent: Agent

  function find(userAgent: string): Agent {
    const cached = known.get(userAgent)
    if (cached !== undefined) {
      // A Map keeps the order of insertion: moved to its end, the first entry is the least recently used.
      known.delete(userAgent)
      known.set(userAgent, cached)
      return cached
    }
    const agent = Object.freeze(parse(userAgent))
    if (known.size >= maxEntries) {
      const oldest = known.keys().next()
      if (!oldest.done) known.delete(oldest.value)
    }
    known.set(userAgent, agent)
    return agent
  }

  return (userAgent) => {
    if (userAgent !== lastUserAgent) {
      lastAgent = find(userAgent)
      lastUserAgent = userAgent
    }
    return lastAgent
  }
}
