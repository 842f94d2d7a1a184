/**
 * uWebSockets.js 20.51 prints a line on standard output for every name with a certificate of its own. Standard
 * output is for package events, so it is turned to nowhere, where `bin/waybill` has given another way to it.
 */
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** A second descriptor of standard output (`3>&1` in bin/waybill). */
const second = 3

/** How to write a line for people; null: nobody reads, it is no terminal. To be called before any thread runs. */
export function takeOutput(): ((line: string) => void) | null {
  const isTerminal = isatty(1)
  if (!isSameFile(1, second)) return isTerminal ? (line) => void process.stdout.write(`${line}\n`) : null
  closeSync(1)
  // The lowest free number: standard output again.
  openSync('/dev/null', 'w')
  return isTerminal ? (line) => void writeSync(second, `${line}\n`) : null
}

function isSameFile(a: number, b: number): boolean {
  try {
    const [one, other] = [fstatSync(a), fstatSync(b)]
    return one.dev === other.dev && one.ino === other.ino && one.rdev === other.rdev
  } catch {
    return false
  }
}
