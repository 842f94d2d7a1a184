/**
 * Finds Waybill's proxy thread among the threads of its process: Node.js 22 gives them no name that the system
 * shows. Connections that ask nothing leave no record, so none but the thread that accepts them has work.
 */
import { connect } from 'node:net'
import type { Waybill } from '../../test/support/waybill.ts'
import { findBusiestThread } from './cpu.ts'

// At some 30 µs each they make a hundred ms, ten times what the system can tell.
const connections = 4000
const atOnce = 16

function connectAndLeave(hostname: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, hostname)
    // A reset leaves no port in TIME_WAIT for the runs that come.
    socket.on('connect', () => socket.resetAndDestroy())
    socket.on('error', reject)
    socket.on('close', () => resolve())
  })
}

export function findProxyThread(waybill: Pick<Waybill, 'pid' | 'host'>): Promise<number> {
  const { hostname, port } = new URL(`http://${waybill.host}`)
  let left = connections
  const run = async (): Promise<void> => {
    while (left-- > 0) await connectAndLeave(hostname, Number(port))
  }
  return findBusiestThread(waybill.pid, () => Promise.all(Array.from({ length: atOnce }, run)))
}
