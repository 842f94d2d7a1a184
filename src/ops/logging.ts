/** The log of the program itself: JSON lines on stderr that never hold an address or a credential. */
import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino'
import { describeError } from './describe-error.ts'
import { createAggregator } from './log-aggregator.ts'

export type { Logger } from 'pino'

/** pino's number of `warn`: below it lines are of our own choice, at it and above of what happens. */
const warnLevel = 40

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'

/**
 * One for each thread. Each writes straight to file descriptor 2, synchronously: a line is one write() and so
 * comes out whole beside those of other threads; process.stderr of a worker goes through the main thread's
 * event loop and loses its last lines when the process ends, and a transport would be one more thread.
 * That is cheap because nothing logs once a request.
 */
export function createLogger(
  level: LogLevel,
  options: { thread?: string; stream?: DestinationStream } = {},
): Logger {
  // A line that counts repeats is written by the hook's own way out, and never counted itself.
  let telling = false
  const aggregator = createAggregator({
    tell(level, message, fields) {
      telling = true
      if (level > warnLevel) logger.error(fields, message)
      else logger.warn(fields, message)
      telling = false
    },
  })
  const logger = pino(
    {
      level,
      base: options.thread === undefined ? null : { thread: options.thread },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError, error: describeError, cause: describeError, reason: describeAny },
      hooks: {
        logMethod(args, method, level) {
          if (level >= warnLevel && !telling && !aggregator.tryPass(level, messageOf(args))) return
          // pino takes the message of a bare error as it is: addresses and all.
          const [first, ...rest] = args as unknown[]
          if (!(first instanceof Error)) return method.apply(this, args)
          const message = typeof rest[0] === 'string' ? rest[0] : 'error'
          return method.apply(this, [{ err: first }, message])
        },
      },
    },
    options.stream ?? destination({ fd: 2, sync: true }),
  )
  return logger
}

/** The words of a line; those of a bare error are not bounded, so all of them count as one. */
function messageOf(args: readonly unknown[]): string {
  const text = args.find((argument) => typeof argument === 'string')
  return typeof text === 'string' ? text : 'error'
}

function describeAny(value: unknown): unknown {
  return value instanceof Error ? describeError(value) : value
}
