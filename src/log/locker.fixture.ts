/**
 * Another process that takes the lock of the folder it is given, says how that went, and stays.
 */
import { lockDirectory } from './lock.ts'

const result = lockDirectory(process.argv[2]!)
process.stdout.write(`${JSON.stringify(result)}\n`)
setInterval(() => {}, 60_000)
