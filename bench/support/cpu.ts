/** CPU time and memory of other processes, as Linux tells them under /proc. */
import { readFileSync } from 'node:fs'

// USER_HZ of proc(5): 100 on every architecture that Node.js runs on.
const tickMs = 10

/** utime and stime, fields 14 and 15 of proc_pid_stat(5); the name before them may hold spaces. */
function readCpuMs(file: string): number {
  const text = readFileSync(file, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * tickMs
}

/** Of all threads, ended ones included. */
export function processCpuMs(pid: number): number {
  return readCpuMs(`/proc/${pid}/stat`)
}

export function threadCpuMs(pid: number, thread: number): number {
  return readCpuMs(`/proc/${pid}/task/${thread}/stat`)
}

export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
  if (kib === undefined) throw new Error(`process ${pid} tells no VmRSS`)
  return Number(kib) * 1024
}
