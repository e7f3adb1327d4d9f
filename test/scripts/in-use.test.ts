import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callPmoe, runPmoe } from './run-pmoe.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-in-use-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

test('a run belongs to the process that trains it until that ends or is killed', async () => {
  const run = join(root, 'run')
  const train = [
    ...['train', '--dataset', 'digits-patches', '--model', 'two-layer-pmoe', '--samples', '40'],
    ...['--test-samples', '20', '--backend', 'wasm', '--out', run],
  ]
  let pid = 0
  const refusals: Promise<unknown>[] = []
  const killed = await runPmoe([...train, '--epochs', '100000', '--json'], {
    watch: (line, child) => {
      if (pid !== 0 || !line.startsWith('{"type":"checkpoint"')) return
      pid = child.pid as number
      // It is stopped, so that it cannot tell that it lives.
      child.kill('SIGSTOP')
      const refused = async () => {
        for (const asked of [
          [...train, '--epochs', '1', '--force'],
          ['train', '--resume', '--out', run],
        ]) {
          const { code, err } = await callPmoe(asked)
          expect({ code, err }).toEqual({
            code: 1,
            err: `pmoe: train: ${run} must not be in use, got process ${pid} (train): wait until it has ended, or end it\n`,
          })
        }
      }
      refusals.push(refused().finally(() => child.kill('SIGKILL')))
    },
  })
  await Promise.all(refusals)
  expect({ refusals: refusals.length, code: killed.code }).toEqual({ refusals: 1, code: null })
  expect((await callPmoe([...train, '--epochs', '1', '--force'])).code).toBe(0)
  expect((await readdir(run)).sort()).toEqual([
    'checkpoints',
    'config.json',
    'events.out.tfevents.0000000000.patch-moe',
    'metrics.jsonl',
    'model',
    'routers-start.safetensors',
  ])
})
