/**
 * Whether a program pulls by itself, from what a single request tells: the tool and the network. How it behaves
 * is for those who see the whole session.
 */
import type { Automation } from '../record/events.ts'
import type { NetworkFinding } from './classify-network.ts'

/**
 * `yes`: the tool is a robot by its nature (mirrors, pollers, scanners, builders, kubelets), wherever it runs.
 * `probable`: a bare library, or a tool for people that runs where nobody sits: on the machines of a CI service, a
 * cloud, a hoster or a content network. `no`: a tool for people, anywhere else.
 */
export function automationOf(
  tool: Automation,
  finding: Pick<NetworkFinding, 'network' | 'isCi'> | null,
): Automation {
  if (tool !== 'no' || finding === null) return tool
  const { type } = finding.network
  return finding.isCi || type === 'hosting' || type === 'cdn' ? 'probable' : 'no'
}
