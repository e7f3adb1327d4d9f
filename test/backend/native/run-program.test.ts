import { describe, expect, test } from 'vitest'
import { ProgramError, runProgram } from '../../../src/backend/native/run-program.js'

const node = (code: string, options: Parameters<typeof runProgram>[2] = {}) =>
  runProgram(process.execPath, ['-e', code], options)

describe('a program', () => {
  test('gives what it printed', async () => {
    expect(await node("console.log('a'); console.error('b')")).toBe('a\n')
  })

  test('that fails gives its last lines of standard error, or else of standard output', async () => {
    const failure = await node(
      "for (const i of [1, 2, 3, 4, 5, 6]) console.error('e' + i); process.exit(3)",
    ).catch((error: Error) => error)
    expect(failure).toBeInstanceOf(ProgramError)
    expect((failure as Error).message).toBe(`${process.execPath} ended with 3: e2\ne3\ne4\ne5\ne6`)
    await expect(node("console.log('out'); process.exit(1)")).rejects.toThrow('ended with 1: out')
  })

  test('that does not exist is named', async () => {
    await expect(runProgram('no-such-program', [], {})).rejects.toThrow(
      new ProgramError('no-such-program cannot be run: spawn no-such-program ENOENT'),
    )
  })

  test('that takes too long is ended', async () => {
    await expect(node('setTimeout(() => {}, 60_000)', { timeoutMs: 100 })).rejects.toThrow(
      'ended with SIGKILL',
    )
  })

  test('that is stopped rejects with the reason, also before it began', async () => {
    const stopped = new AbortController()
    const running = node('setTimeout(() => {}, 60_000)', { signal: stopped.signal })
    stopped.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
    await expect(node('', { signal: stopped.signal })).rejects.toThrow('enough')
  })
})
