import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { type DirectoryLock, lockDirectory } from './lock.ts'
import { createFolder } from './log.fixture.ts'

const fixture = fileURLToPath(new URL('./locker.fixture.ts', import.meta.url))

async function startLocker(directory: string): Promise<{ child: ChildProcess; result: DirectoryLock }> {
  const child = spawn(process.execPath, ['--no-warnings', fixture, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const [line] = (await once(child.stdout!, 'data')) as [Buffer]
  return { child, result: JSON.parse(line.toString()) as DirectoryLock }
}

function tryLock(directory: string): DirectoryLock {
  const result = lockDirectory(directory)
  if (result.ok) onTestFinished(() => result.release())
  return result
}

test('a second process is refused and told who holds the folder; SIGKILL leaves nothing stale', async () => {
  const directory = path.join(createFolder(), 'made')
  const first = await startLocker(directory)
  expect(first.result.ok).toBe(true)
  expect((await startLocker(directory)).result).toEqual({ ok: false, heldBy: first.child.pid })
  expect(tryLock(directory)).toEqual({ ok: false, heldBy: first.child.pid })
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  expect(tryLock(directory).ok).toBe(true)
  expect((await startLocker(directory)).result).toEqual({ ok: false, heldBy: process.pid })
})

test('the same process cannot lock twice, and can again after release', () => {
  const directory = createFolder()
  const first = tryLock(directory)
  expect(tryLock(directory)).toEqual({ ok: false, heldBy: process.pid })
  if (first.ok) first.release()
  expect(fs.existsSync(path.join(directory, 'pid'))).toBe(false)
  expect(tryLock(directory).ok).toBe(true)
})

test('a pid file left over locks nothing', () => {
  const directory = createFolder()
  fs.writeFileSync(path.join(directory, 'pid'), `${process.pid}\n`)
  expect(tryLock(directory).ok).toBe(true)
})
