/**
 * What seems to come before its root, as the clock of the node that served it is behind: a token is taken for one pull,
 * so a manifest by digest just before a root that leads to it was asked for after it.
 */
import type { Fact } from '../types.ts'
import { findOldest } from './line.ts'
import type { Pull } from './pull.ts'
import { addContents, addFact } from './pull-facts.ts'
import { isOpen, type Session, sharesToken } from './session.ts'
import { sharingTool } from './surroundings.ts'

/** Clocks that are kept by NTP differ by some ms, badly kept ones by more; no client fetches again so soon. */
const skewMs = 1000

/** To be called when the fact has begun the root. */
export function takeEarlier(session: Session, root: Pull, fact: Fact): void {
  const { client, session_method: method } = fact.context
  // Each of its builds may ask for the same image.
  if (method !== 'token' || client.tool === sharingTool) return
  const belongs = (pull: Pull) => isOpen(session, pull)
  const fits = (pull: Pull) =>
    pull !== root && pull.startMs >= fact.time - skewMs && pull.downloads > 0 && sharesToken(pull, fact)
  for (const digest of root.contents[0]?.manifests.keys() ?? []) {
    const line = session.rootLines.byDigest.get(digest)
    for (let found = findOldest(line, belongs, fits); found; found = findOldest(line, belongs, fits)) {
      for (const one of found.facts) addFact(root, one)
      for (const contents of found.contents) if (contents.root !== root.digest) addContents(root, contents)
      found.taken = true
    }
  }
}
