/** Made-up clients of the networks of a geo database's test file, a few of which ask for most. */

export type Client = {
  /** 16 bytes, IPv4 mapped. */
  address: Uint8Array
  /** The same as text. */
  text: string
  userAgent: string
  nonce: Uint8Array
  digests: string[]
}

const clientCount = 20_000
/** Manifests, config and layers of a common image, each once. */
const requestsPerPull = 12
/** Most pulls still come over IPv4. */
const ipv4Part = 0.8
const userAgents = [
  'docker/28.1.1 go/go1.23.8 git-commit/01f442b kernel/6.8.0-58-generic os/linux arch/amd64 UpstreamClient(Docker-Client/28.1.1 \\(linux\\))',
  'docker/27.5.1 go/go1.22.11 git-commit/4c9b3b0 kernel/5.15.0-130-generic os/linux arch/amd64 UpstreamClient(Docker-Client/27.5.1 \\(linux\\))',
  'containerd/v2.1.4',
  'containerd/1.7.27',
  'containers/5.34.2 (github.com/containers/image)',
  'cri-o/1.32.1 go/go1.23.3 os/linux arch/arm64',
  'buildkit/v0.25',
  'Go-http-client/2.0',
]

/** The same numbers each time (Numerical Recipes' generator). */
function createRandom(): (limit: number) => number {
  let state = 1
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

/** Bytes of the network's address in mapped form, and how many bits are given. */
function parseNetwork(cidr: string): { bytes: Uint8Array; bits: number } {
  const [address = '', length] = cidr.split('/')
  const bytes = new Uint8Array(16)
  if (!address.includes(':')) {
    bytes.set([0xff, 0xff, ...address.split('.').map(Number)], 10)
    return { bytes, bits: 96 + Number(length) }
  }
  const [head = '', tail = ''] = address.split('::')
  const put = (groups: string[], from: number): void => {
    for (const [index, group] of groups.entries()) {
      const value = Number.parseInt(group, 16)
      bytes.set([value >> 8, value & 0xff], from + 2 * index)
    }
  }
  put(head.split(':').filter(Boolean), 0)
  const last = tail.split(':').filter(Boolean)
  put(last, 16 - 2 * last.length)
  return { bytes, bits: Number(length) }
}

function formatText(bytes: Uint8Array): string {
  if (bytes[10] === 0xff && bytes[0] === 0) return bytes.subarray(12).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16))
  return groups.join(':')
}

type Random = ReturnType<typeof createRandom>

function createClients(networks: readonly string[], count: number, below: Random): Client[] {
  const parsed = networks.map(parseNetwork)
  const ipv4 = parsed.filter(({ bytes }) => bytes[10] === 0xff)
  const ipv6 = parsed.filter(({ bytes }) => bytes[10] !== 0xff)
  const bytes = (length: number) => Uint8Array.from({ length }, () => below(256))

  return Array.from({ length: count }, () => {
    const family = below(100) < 100 * ipv4Part ? ipv4 : ipv6
    const network = family[below(family.length)]!
    const address = Uint8Array.from(network.bytes)
    for (let bit = network.bits; bit < 128; bit++) address[bit >> 3]! |= below(2) << (7 - (bit & 7))
    const digests = Array.from(
      { length: requestsPerPull },
      () => `sha256:${Buffer.from(bytes(32)).toString('hex')}`,
    )
    const userAgent = userAgents[below(userAgents.length)]!
    return { address, text: formatText(address), userAgent, nonce: bytes(16), digests }
  })
}

/** One client for each request, in the order of their requests; they are mixed of those of `activePulls` pulls at once. */
export function createTraffic(networks: readonly string[], requests: number, activePulls: number): Client[] {
  const below = createRandom()
  const clients = createClients(networks, clientCount, below)
  // The square of an even distribution: a tenth of the clients makes a third of the pulls.
  const choose = () => clients[Math.floor(below(clientCount) ** 2 / clientCount)]!
  const active = Array.from({ length: activePulls }, () => ({ client: choose(), left: 1 + below(12) }))
  return Array.from({ length: requests }, () => {
    const index = below(activePulls)
    const pull = active[index]!
    if (--pull.left === 0) active[index] = { client: choose(), left: requestsPerPull }
    return pull.client
  })
}

/** The same without pulls: by Zipf's law with exponent 1, each request of whoever it falls to. */
export function createSingleRequests(
  networks: readonly string[],
  requests: number,
  clientCount: number,
): Client[] {
  const below = createRandom()
  let sum = 0
  const upTo = Float64Array.from({ length: clientCount }, (_, rank) => (sum += 1 / (rank + 1)))
  const ranks = Array.from({ length: requests }, () => {
    const wanted = (below(2 ** 32) / 2 ** 32) * sum
    let [from, to] = [0, clientCount - 1]
    while (from < to) {
      const middle = (from + to) >>> 1
      if (upTo[middle]! > wanted) to = middle
      else from = middle + 1
    }
    return from
  })
  // Only those who ask are made.
  const asking = [...new Set(ranks)]
  const clients = createClients(networks, asking.length, below)
  const byRank = new Map(asking.map((rank, index) => [rank, clients[index]!]))
  return ranks.map((rank) => byRank.get(rank)!)
}
