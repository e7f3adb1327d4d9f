import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startTypeScript } from '../../child-processes.js'

test('a process that checks in an endless operation ends with its parent, which is killed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'parent-watch-'))
  const pidFile = join(folder, 'pid')
  const module = resolve(import.meta.dirname, '../../../src/backend/self-test/process.ts')
  const settings = { program: join(import.meta.dirname, 'endless-process.ts') }
  const code = `import('${module}').then(m => m.runSelfTestProcess({}, ${JSON.stringify(settings)}))`
  const parent = startTypeScript(['-e', code], { env: { PID_FILE: pidFile } })
  while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8') === '') await setTimeout(50)
  const pid = Number(readFileSync(pidFile, 'utf8'))
  expect(isRunning(pid)).toBe(true)
  parent.child.kill('SIGKILL')
  await parent.finished
  // The limit of tests ends this where the process stays.
  while (isRunning(pid)) await setTimeout(50)
  await rm(folder, { recursive: true })
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  // A process that has ended stays in the table where nobody asks for its exit code.
  const stat = `/proc/${pid}/stat`
  return !existsSync(stat) || !/\) Z /.test(readFileSync(stat, 'utf8'))
}
