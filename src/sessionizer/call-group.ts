/** Calls that come together are answered together: a commit costs as much as many statements. */

export type CallGroup<Request, Answer> = {
  /** Rejects alone if what it asks for throws. */
  call(request: Request): Promise<Answer>
  /** Answers at once what has been asked. */
  flush(): void
}

type Waiting<Request, Answer> = {
  request: Request
  resolve(answer: Answer): void
  reject(error: unknown): void
}

/** `answer`: all or nothing. It gets no more than `mostCalls`: meanwhile the thread does nothing else. */
export function createCallGroup<Request, Answer>(
  mostCalls: number,
  answer: (requests: readonly Request[]) => readonly Answer[],
): CallGroup<Request, Answer> {
  const waiting: Waiting<Request, Answer>[] = []
  let timer: NodeJS.Immediate | null = null

  function answerAlone({ request, resolve, reject }: Waiting<Request, Answer>): void {
    try {
      resolve(answer([request])[0] as Answer)
    } catch (error) {
      reject(error)
    }
  }

  function answerAll(calls: readonly Waiting<Request, Answer>[]): void {
    let answers: readonly Answer[]
    try {
      answers = answer(calls.map(({ request }) => request))
    } catch (error) {
      // One that cannot be answered must not stop the others.
      if (calls.length > 1) for (const one of calls) answerAlone(one)
      else calls[0]?.reject(error)
      return
    }
    for (const [at, { resolve }] of calls.entries()) resolve(answers[at] as Answer)
  }

  function run(): void {
    timer = null
    const calls = waiting.splice(0, mostCalls)
    // Before the work, which may take a while: what comes meanwhile joins those that are left.
    if (waiting.length > 0) timer = setImmediate(run)
    answerAll(calls)
  }

  return {
    call(request) {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      waiting.push({ request, resolve, reject })
      // After all messages that have arrived at the thread's ports.
      timer ??= setImmediate(run)
      return promise
    },
    flush() {
      if (timer !== null) clearImmediate(timer)
      timer = null
      while (waiting.length > 0) answerAll(waiting.splice(0, mostCalls))
    },
  }
}
