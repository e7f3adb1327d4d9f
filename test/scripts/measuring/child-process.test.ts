import { describe, expect, it } from 'vitest'
import { ownCommand } from '../../../bench/own-command.js'
import { type ChildCommand, runChild } from '../../../scripts/run/measuring/child-process.js'

const node = (script: string): ChildCommand => ({
  who: 'peer wrn',
  program: process.execPath,
  arguments: ['-e', script],
  environment: { SPEED: '3' },
})

describe('runChild', () => {
  it('hands over the environment and reads the report', async () => {
    const script = `console.log(JSON.stringify({software:'x',seconds:{step:[+process.env.SPEED]},facts:{}}))`
    expect(await runChild(node(script))).toEqual({ software: 'x', seconds: { step: [3] }, facts: {} })
  })

  it('says what the process failed of', async () => {
    const failing = runChild(node(`throw new RangeError('patches must fit')`))
    await expect(failing).rejects.toThrow(
      new Error(
        'peer wrn: the measuring process must end with exit code 0, got exit code 1: RangeError: patches must fit',
      ),
    )
  })

  it('shows the last lines where there is no error among them', async () => {
    const failing = runChild(node(`console.error('a\\nb\\nc\\nd'); process.exit(3)`))
    await expect(failing).rejects.toThrow('got exit code 3: b | c | d')
  })

  it('names the signal that ended the process', async () => {
    const failing = runChild(node(`process.kill(process.pid, 'SIGKILL')`))
    await expect(failing).rejects.toThrow('got SIGKILL: nothing on standard error')
  })

  it('says why a program cannot start', async () => {
    const missing = runChild({ ...node(''), program: '/nowhere/python' })
    await expect(missing).rejects.toThrow(
      'peer wrn: the measuring process must start, got: spawn /nowhere/python ENOENT',
    )
  })

  it('refuses a precision that is not there, in the process that would need it', async () => {
    const job = {
      workload: 'training',
      backend: 'wasm',
      precision: 'bf16',
      network: 'wrn',
      convolutions: false,
      size: 16,
      batch: 2,
      classes: 2,
      widen: 1,
      experts: 2,
      keep: 1,
      patch: 2,
      kernel: 3,
      warmUp: 0,
      rounds: 1,
    } as const
    await expect(runChild(ownCommand('ours', job))).rejects.toThrow(
      'Error: usePrecision: bf16 must have native TensorFlow, got backend wasm',
    )
  })
})
