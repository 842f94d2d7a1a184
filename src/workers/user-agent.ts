/** Says which tool sent a request, from its User-Agent. */
import type { Automation } from '../record/events.ts'
import { unknownAgent, userAgentRules } from './user-agent-rules.ts'

export type Agent = {
  /** Another for each User-Agent, for as long as the parser remembers it. */
  number: number
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

function parse(userAgent: string): Omit<Agent, 'number'> {
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
  // Two halves: the younger one takes what is asked for, and becomes the older one when it is full.
  let young = new Map<string, Agent>()
  let old = young
  // Requests of one client come together.
  let lastUserAgent: string | null = null
  let lastAgent: Agent
  let nextNumber = 0

  function find(userAgent: string): Agent {
    const known = young.get(userAgent)
    if (known !== undefined) return known
    const agent = old.get(userAgent) ?? Object.freeze({ number: nextNumber++, ...parse(userAgent) })
    if (young.size >= maxEntries / 2) {
      old = young
      young = new Map()
    }
    young.set(userAgent, agent)
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
