/** Calls of one turn that go to the same shard are one command: it costs as much as several of their answers. */

type Waiting<Request, Answer> = {
  request: Request
  resolve(answer: Answer): void
  reject(error: unknown): void
}

/** `mostCalls`: of one command, for the server does nothing else meanwhile. `run`: an answer for each. */
export function createShardCalls<Request, Answer>(options: {
  mostCalls: number
  /** Requests of one name go together. */
  nameOf(request: Request): string | number
  run(requests: readonly Request[]): Promise<readonly Answer[]>
}): (request: Request) => Promise<Answer> {
  let waiting = new Map<string | number, Waiting<Request, Answer>[]>()

  async function send(calls: readonly Waiting<Request, Answer>[]): Promise<void> {
    try {
      const answers = await options.run(calls.map(({ request }) => request))
      for (const [at, { resolve }] of calls.entries()) resolve(answers[at] as Answer)
    } catch (error) {
      for (const { reject } of calls) reject(error)
    }
  }

  function sendAll(): void {
    const groups = waiting
    waiting = new Map()
    for (const calls of groups.values()) {
      for (let at = 0; at < calls.length; at += options.mostCalls)
        void send(calls.slice(at, at + options.mostCalls))
    }
  }

  return (request) => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    // After all that is asked for in this turn.
    if (waiting.size === 0) setImmediate(sendAll)
    const name = options.nameOf(request)
    const calls = waiting.get(name)
    if (calls === undefined) waiting.set(name, [{ request, resolve, reject }])
    else calls.push({ request, resolve, reject })
    return promise
  }
}
