/** Runs one scenario with autocannon and judges every answer. */
import { createHash } from 'node:crypto'
import { createHistogram } from 'node:perf_hooks'
import autocannon from 'autocannon'
import type { Question, Scenario } from './scenarios.ts'

export type Outcome = {
  scenario: string
  /** Requests, each of them answered. */
  requests: number
  /** Those to a repository. */
  counted: number
  perSecond: number
  latencyMs: { p50: number; p90: number; p99: number; max: number }
  /** Of all requests, those before the measured ones too. */
  longestMs: number
  /** Wrong answers and transport errors. */
  wrong: number
  /** The first few, in words. */
  examples: string[]
}

export type DriveOptions = {
  seconds: number
  connections: number
  /** Taken in turns, a new one for each pass over the questions, as each pull takes one; [] without tokens. */
  tokens: readonly string[]
}

/** The parts of autocannon's client that its types leave out. */
type Client = autocannon.Client & {
  parser: { body_bytes: number | null }
  pipelinedRequests: {
    peek(): { req: { method: string }; body: string } | undefined
    addBody(data: Buffer): void
  }
}

const maxExamples = 5
const firstRequestsEach = 20
const answerTimeoutSeconds = 30

/** Asks for about `seconds`: a short run measures the rate, a long one of so many requests follows. */
export async function drive(url: string, scenario: Scenario, options: DriveOptions): Promise<Outcome> {
  const first = await driveAmount(url, scenario, firstRequestsEach * options.connections, options)
  if (first.wrong > 0) return first
  const amount = Math.max(options.connections, Math.round(first.perSecond * options.seconds))
  const long = await driveAmount(url, scenario, amount, options)
  // The first run was of the same kind; what it sent has to be found again too.
  return {
    ...long,
    requests: first.requests + long.requests,
    counted: first.counted + long.counted,
    longestMs: Math.max(first.longestMs, long.longestMs),
  }
}

/**
 * A number of requests and not a time: at the end of a time autocannon cuts off what is under way, and nobody
 * can say how many of those Waybill has seen.
 */
async function driveAmount(
  url: string,
  scenario: Scenario,
  amount: number,
  { seconds, connections, tokens }: DriveOptions,
): Promise<Outcome> {
  const histogram = createHistogram()
  const examples: string[] = []
  const countedByQuestion = scenario.questions.map(() => 0)
  let wrong = 0
  let pass = 0
  const complain = (what: string): void => {
    wrong++
    if (examples.length < maxExamples) examples.push(what)
  }

  const requests = scenario.questions.map((question, index): autocannon.Request => {
    const { method, path, headers } = question
    return {
      ...{ method, path, headers: { ...headers } },
      ...(question.authorized &&
        tokens.length > 0 && {
          setupRequest(request: autocannon.Request, context: { token?: string }) {
            // autocannon gives each pass over the requests a context of its own.
            context.token ??= tokens[pass++ % tokens.length] as string
            return { ...request, headers: { ...request.headers, authorization: `Bearer ${context.token}` } }
          },
        }),
      onResponse(status, body, _context, answerHeaders) {
        if (question.counted) countedByQuestion[index]!++
        const problem = judge(question, status, body, lowerCased(answerHeaders ?? {}))
        if (problem !== null) complain(`${method} ${path}: ${problem}`)
      },
    }
  })
  const startedMs = performance.now()
  let lastMs = startedMs
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const run = autocannon(
      {
        ...{ url, connections, amount, requests, timeout: answerTimeoutSeconds },
        setupClient: (client) => adapt(client as Client),
      },
      (error, value) => (error ? reject(error) : resolve(value)),
    )
    const limit = setTimeout(
      () => {
        complain('not finished in time')
        run.stop()
      },
      (3 * seconds + answerTimeoutSeconds) * 1000,
    )
    run.on('response', (_client, _status, _bytes, ms) => {
      // autocannon ends at the next full second; the rate is that of the answers.
      lastMs = performance.now()
      histogram.record(Math.max(1, Math.round(ms * 1e6)))
    })
    run.on('reqError', (error) => complain(`transport: ${error.message}`))
    run.on('done', () => clearTimeout(limit))
  })
  const answered = histogram.count
  if (answered !== amount) complain(`${answered} answers to ${amount} requests`)
  if (result.errors + result.timeouts > 0 && wrong === 0) complain(`${result.errors} transport errors`)
  const ms = (percentile: number): number => histogram.percentile(percentile) / 1e6
  return {
    scenario: scenario.name,
    requests: answered,
    counted: countedByQuestion.reduce((sum, count) => sum + count, 0),
    perSecond: (answered * 1000) / Math.max(1, lastMs - startedMs),
    latencyMs: { p50: ms(50), p90: ms(90), p99: ms(99), max: histogram.max / 1e6 },
    longestMs: histogram.max / 1e6,
    wrong,
    examples,
  }
}

/** Two things that autocannon 9 cannot do by itself. */
function adapt(client: Client): void {
  // Its bodies are strings read as UTF-8, which would damage what is none; Latin-1 keeps every byte.
  const waiting = client.pipelinedRequests
  waiting.addBody = (data) => {
    const request = waiting.peek()
    if (request) request.body += data.toString('latin1')
  }
  // It waits for the body that Content-Length tells of, which a HEAD never gets. 'headers' comes just before
  // its parser decides.
  client.on('headers', () => {
    if (waiting.peek()?.req.method === 'HEAD') client.parser.body_bytes = 0
  })
}

function lowerCased(headers: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]),
  )
}

function judge(
  question: Question,
  status: number,
  body: string,
  headers: Record<string, string>,
): string | null {
  if (status !== question.status) return `status ${status}, not ${question.status}`
  const length = headers['content-length']
  if (length !== String(question.length)) return `Content-Length ${length}, not ${question.length}`
  const digest = headers['docker-content-digest']
  if (question.digestHeader !== null && digest !== question.digestHeader) {
    return `Docker-Content-Digest ${digest}, not ${question.digestHeader}`
  }
  const expectedBytes = question.method === 'HEAD' ? 0 : question.length
  if (body.length !== expectedBytes) return `${body.length} bytes of body, not ${expectedBytes}`
  if (question.digest !== null) {
    const found = `sha256:${createHash('sha256').update(body, 'latin1').digest('hex')}`
    if (found !== question.digest) return `body of digest ${found}, not ${question.digest}`
  }
  return question.isRight?.(body) === false ? 'another body' : null
}
