/**
 * The rows of the table of settings for what stands within `domains`.
 */
import { publicUrl, upstreamUrl } from './addresses.ts'
import { domainHost } from './domain-host.ts'
import { boolean, choice, path, word } from './kinds.ts'
import { repositoryPattern, upstreamRepository } from './repository-pattern.ts'
import { type Group, type Setting, setting } from './setting.ts'

export const certificate = path('FILE', 'a file with a PEM certificate, the chain after it')
export const privateKey = path('FILE', 'a file with a PEM private key without passphrase')
export const authorities = path('FILE', 'a file with PEM certificates of authorities')
const blobs = choice(['redirect', 'stream'])

export const routeSettings = {
  repository: setting(repositoryPattern, {
    help: 'Which names the route is for; the first route that matches counts.',
    required: true,
  }),
  upstream: setting(upstreamUrl, {
    help: 'The registry behind it; a path in it is put before `upstreamRepository`.',
    unset: 'the `upstream` of the top',
  }),
  upstreamRepository: setting(upstreamRepository, {
    help: "The name there; its wildcard stands for what the pattern's matched.",
    unset: 'the same name',
  }),
  'fallback.upstream': setting(upstreamUrl, {
    help: 'The registry that is asked when the first one fails.',
    unset: 'none',
  }),
  'fallback.upstreamRepository': setting(upstreamRepository, {
    help: 'The name there.',
    unset: 'the same name',
  }),
  'fallback.upstreamTls.ca': setting(authorities, {
    help: 'Authorities that its certificate is checked with.',
    unset: 'those of the system',
  }),
  blobs: setting(blobs, { help: 'As at the top.', unset: 'that of the domain' }),
  'credentials.username': setting(word, {
    help: 'User name that the front signs in with; only on a route that names one repository and is `public`.',
    unset: 'anonymous',
  }),
  'credentials.password': setting(word, {
    help: 'Password or access token for it.',
    unset: 'anonymous',
    secret: 'word',
  }),
  public: setting(boolean, { help: 'Everybody may read what this route serves.', default: 'off' }),
  'upstreamTls.ca': setting(authorities, {
    help: 'Authorities that the certificate of the upstream is checked with.',
    unset: 'those of the system',
  }),
} as const satisfies Readonly<Record<string, Setting>>

export const domainSettings = {
  host: setting(domainHost, { help: 'Name that clients ask for.', required: true }),
  publicUrl: setting(publicUrl, {
    help: 'The URL that clients know it by; decides realm, Link and Location.',
    unset: 'from each request',
  }),
  auth: setting(choice(['token', 'open', 'passthrough']), {
    help: 'As at the top.',
    unset: 'that of the top',
  }),
  recording: setting(boolean, {
    help: 'off: served and counted in a total, but nothing is recorded.',
    default: 'on',
  }),
  blobs: setting(blobs, { help: 'As at the top.', unset: 'that of the top' }),
  'tls.cert': setting(certificate, {
    help: 'Certificate for this name on every listener with TLS.',
    unset: 'that of the listener',
  }),
  'tls.key': setting(privateKey, {
    help: 'Private key of that certificate.',
    unset: 'that of the listener',
  }),
} as const satisfies Readonly<Record<string, Setting>>

export const domainGroup: Group = {
  help: 'The names that are served, each with its routes.',
  settings: domainSettings,
  lists: {
    routes: { help: 'What stands behind the name; none: everything at `upstream`.', settings: routeSettings },
  },
}
