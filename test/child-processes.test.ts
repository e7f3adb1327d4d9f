import { describe, expect, test } from 'vitest'
import { startProcess } from './child-processes.js'

const node = (code: string, options: Parameters<typeof startProcess>[2] = {}) =>
  startProcess(process.execPath, ['-e', code], options)

describe('a process of a test', () => {
  test('gives its output, its error stream and its code', async () => {
    const env = { GREETING: 'hello' }
    const { finished } = node(
      `console.log(process.env.GREETING); console.error('no'); process.exitCode = 3`,
      { env },
    )
    expect(await finished).toEqual({ code: 3, out: 'hello\n', err: 'no\n' })
  })

  test('is waited for by a line, whether it has come or is to come', async () => {
    const started = node(
      `console.log('one'); console.log('port 80'); process.stdin.resume(); setInterval(Date, 1e6)`,
    )
    expect(await started.line(/^port \d+$/)).toBe('port 80')
    expect(await started.line(/^one/)).toBe('one')
    started.child.kill('SIGKILL')
    expect((await started.finished).code).toBeNull()
  })

  test('that ends without the line says how', async () => {
    await expect(node(`console.error('no port'); process.exit(2)`).line(/^port/)).rejects.toThrow(
      `${process.execPath} must write a line like /^port/, got its end with 2: no port\n`,
    )
  })

  test('that cannot start rejects', async () => {
    const missing = startProcess('/nowhere/program', [])
    await expect(missing.finished).rejects.toThrow('spawn /nowhere/program ENOENT')
    await expect(missing.line(/x/)).rejects.toThrow('spawn /nowhere/program ENOENT')
  })
})
