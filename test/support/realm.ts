/** A token service for a real registry with `auth: token`, which grants what the test says, in the style it says. */
import { createHash, createSign, randomUUID, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { freePort, removeFolder, run, temporaryFolder } from './processes.ts'

export type RealmOptions = {
  /** Name and password. */
  users?: Record<string, string>
  /** Whether `user` ('' anonymous) may pull; all may, unless given. */
  mayPull?: (user: string, repository: string) => boolean
}

export type Realm = {
  url: string
  /** For `auth` of the registry's config. */
  auth: { token: { realm: string; service: string; issuer: string; rootcertbundle: string } }
  asked: { scopes: string[]; user: string; account: string | null; authorization: string | undefined }[]
  /** Seconds for which the registry takes a token; the answer says 300 whatever it is. */
  realSeconds: number
  /** Answered instead of any token. */
  fault: { status: number; headers?: Record<string, string> } | null
  stop(): Promise<void>
}

// How long after `exp` the registry still takes a token (distribution, registry/auth/token: Leeway).
const leewaySeconds = 60
const service = 'test registry'
const issuer = 'test issuer'

export async function startRealm(options: RealmOptions = {}): Promise<Realm> {
  const folder = temporaryFolder('realm')
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const { code, stderr } = await run('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=realm'],
    ...['-keyout', key, '-out', cert],
  ])
  if (code !== 0) throw new Error(`openssl failed\n${stderr}`)
  const privateKey = readFileSync(key, 'utf8')
  const chain = [new X509Certificate(readFileSync(cert)).raw.toString('base64')]

  const sign = (user: string, access: object[]): string => {
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      ...{ iss: issuer, sub: user, aud: service, jti: randomUUID(), access },
      ...{ iat: now - 600, nbf: now - 600, exp: now + realm.realSeconds - leewaySeconds },
    }
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const signed = `${encode({ typ: 'JWT', alg: 'RS256', x5c: chain })}.${encode(claims)}`
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(privateKey, 'base64url')}`
  }

  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const { searchParams } = new URL(request.url ?? '/', 'http://realm')
    const { authorization } = request.headers
    const scopes = searchParams.getAll('scope')
    const [user = '', password = ''] = Buffer.from(authorization?.slice(6) ?? '', 'base64')
      .toString()
      .split(':')
    realm.asked.push({ scopes, user, account: searchParams.get('account'), authorization })
    const refuse = (status: number, headers = {}): void =>
      void response.writeHead(status, headers).end('{"errors":[{"code":"DENIED"}]}')
    if (realm.fault) return refuse(realm.fault.status, realm.fault.headers)
    if (searchParams.get('service') !== service) return refuse(400)
    if (authorization !== undefined && options.users?.[user] !== password) return refuse(401)
    const access = scopes.flatMap((scope) => {
      const [type = '', name = '', actions = ''] = scope.split(':')
      const pull = options.mayPull?.(user, name) ?? true
      const granted = actions.split(',').filter((action) => user !== '' || action === 'pull')
      return pull && type === 'repository' ? [{ type, name, actions: granted }] : []
    })
    const token = sign(user, access)
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify({ token, access_token: token, expires_in: 300, x_seen: digestOf(token) }))
  }

  const server = createServer(serve)
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${port}/auth`
  const realm: Realm = {
    url,
    auth: { token: { realm: url, service, issuer, rootcertbundle: cert } },
    asked: [],
    realSeconds: 300,
    fault: null,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      removeFolder(folder)
    },
  }
  return realm
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
