/**
 * The answers that the front makes itself: OCI error bodies (distribution spec 1.1, "Error Codes") with
 * their status lines.
 */

export type ErrorCode =
  | 'BLOB_UNKNOWN'
  | 'DENIED'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_UNKNOWN'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  | 'UNSUPPORTED'

export type LocalError = {
  status: number
  body: Buffer
  /** Seconds; null: no Retry-After. */
  retryAfter: number | null
}

function describe(
  status: number,
  code: ErrorCode,
  message: string,
  retryAfter: number | null = null,
): LocalError {
  // docker reads only bodies with a non-empty `errors` array; `detail` is optional.
  return { status, body: Buffer.from(JSON.stringify({ errors: [{ code, message }] })), retryAfter }
}

export const localErrors = {
  badRequest: describe(400, 'UNSUPPORTED', 'the request is not one that this registry can read'),
  hasBody: describe(400, 'UNSUPPORTED', 'this registry takes no request bodies'),
  unauthorized: describe(401, 'UNAUTHORIZED', 'authentication required'),
  severalRegistries: describe(
    400,
    'UNSUPPORTED',
    'one token cannot be for repositories of several registries: ask for one for each',
  ),
  denied: describe(403, 'DENIED', 'requested access to the resource is denied'),
  noCredentials: describe(
    401,
    'UNAUTHORIZED',
    'this registry serves public images only: pull without logging in',
  ),
  blocked: describe(403, 'DENIED', 'this registry is not available to you'),
  nameUnknown: describe(404, 'NAME_UNKNOWN', 'repository name not known to registry'),
  blobUnknown: describe(404, 'BLOB_UNKNOWN', 'blob unknown to registry'),
  manifestUnknown: describe(404, 'MANIFEST_UNKNOWN', 'manifest unknown'),
  notFound: describe(404, 'UNSUPPORTED', 'this registry has nothing at that path'),
  readOnly: describe(405, 'UNSUPPORTED', "this front is read-only: push to the registry's own name"),
  expectation: describe(417, 'UNSUPPORTED', 'this registry meets no such expectation'),
  loop: describe(508, 'UNSUPPORTED', 'the request came back to the front that sent it'),
  tooMany: describe(429, 'TOOMANYREQUESTS', 'the registry asks to slow down', 60),
  tooManyOfClient: describe(429, 'TOOMANYREQUESTS', 'too many requests of this client at once', 5),
  overloaded: describe(503, 'TOOMANYREQUESTS', 'too many requests at once', 1),
  stopping: describe(503, 'UNSUPPORTED', 'this front is stopping', 1),
  upstreamFailed: describe(502, 'UNSUPPORTED', 'the registry behind this front gave no answer to hand on'),
  upstreamSlow: describe(504, 'UNSUPPORTED', 'the registry behind this front did not answer in time'),
  internal: describe(500, 'UNSUPPORTED', 'internal error'),
} as const satisfies Record<string, LocalError>

// RFC 9110 section 15; uWebSockets.js wants the whole of status code and reason.
const reasons: Record<number, string> = {
  200: 'OK',
  203: 'Non-Authoritative Information',
  204: 'No Content',
  206: 'Partial Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  410: 'Gone',
  412: 'Precondition Failed',
  416: 'Range Not Satisfiable',
  417: 'Expectation Failed',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  508: 'Loop Detected',
}

const lines: (Buffer | undefined)[] = []
for (const [status, reason] of Object.entries(reasons))
  lines[Number(status)] = Buffer.from(`${status} ${reason}`)

/** The status line's code and reason as bytes; made once for each code. */
export function statusLine(status: number): Buffer {
  let line = lines[status]
  if (!line) {
    line = Buffer.from(`${status} Status`)
    lines[status] = line
  }
  return line
}
