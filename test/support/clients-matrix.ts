/** Which pulls the matrix of clients makes: few enough to run, and still each pair of properties occurs. */
import { type ClientName, clientNames } from './clients.ts'

/** In the order of `properties`. */
export type Row = {
  client: ClientName
  image: 'index' | 'single' | 'attested'
  reference: 'tag' | 'digest'
  /** `first`, `second`: names on one TLS listener. */
  transport: 'plain' | 'first' | 'second'
  auth: 'token' | 'open'
  blobs: 'redirect' | 'stream'
  /** The registry knows the repository by the same name or by another. */
  name: 'same' | 'renamed'
}

const properties = {
  client: clientNames,
  image: ['index', 'single', 'attested'],
  reference: ['tag', 'digest'],
  transport: ['plain', 'first', 'second'],
  auth: ['token', 'open'],
  blobs: ['redirect', 'stream'],
  name: ['same', 'renamed'],
} as const

const table = `
docker     attested tag    first  token redirect same
docker     index    digest second open  redirect renamed
docker     single   digest plain  open  stream   same
containerd attested tag    plain  open  stream   same
containerd index    digest second token redirect same
containerd single   digest first  open  redirect renamed
podman     attested tag    first  open  redirect renamed
podman     index    digest plain  token stream   renamed
podman     single   tag    second open  stream   same
buildah    attested digest plain  open  redirect renamed
buildah    index    digest first  token stream   renamed
buildah    single   tag    second open  stream   same
skopeo     attested digest second token stream   renamed
skopeo     index    tag    plain  open  redirect renamed
skopeo     single   tag    first  token redirect same
`

const names = Object.keys(properties) as (keyof Row)[]

export const rows: readonly Row[] = table
  .trim()
  .split('\n')
  .map((line) => {
    const values = line.split(/ +/)
    return Object.fromEntries(names.map((name, index) => [name, values[index]])) as Row
  })

/** Pairs of values of two properties that no row has. */
export function missingPairs(of: readonly Row[] = rows): string[] {
  const missing: string[] = []
  for (const [index, first] of names.entries()) {
    for (const second of names.slice(index + 1)) {
      for (const a of properties[first]) {
        for (const b of properties[second]) {
          if (!of.some((row) => row[first] === a && row[second] === b))
            missing.push(`${first} ${a}, ${second} ${b}`)
        }
      }
    }
  }
  return missing
}

/** What each kind of front serves: those that the rows ask for. */
export function frontsOf(of: readonly Row[] = rows): Pick<Row, 'auth' | 'blobs' | 'name'>[] {
  const fronts = new Map(
    of.map(({ auth, blobs, name }) => [`${auth} ${blobs} ${name}`, { auth, blobs, name }]),
  )
  return [...fronts.values()]
}
