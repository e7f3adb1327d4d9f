import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Finished, runProcess } from '../child-processes.js'
import { callPmoe } from './run-pmoe.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'full-disk-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs the command line where no file may grow beyond so many kilobytes: writing fails in the middle of one. */
async function runWithin(kilobytes: number, words: readonly string[]): Promise<Finished> {
  const limited = `ulimit -f ${kilobytes}; exec "$0" "$@"`
  const call = ['-c', limited, process.execPath, '--import', 'tsx', 'scripts/cli.ts', ...words]
  // tsx would keep what it compiles in files of its own.
  return runProcess('bash', call, { cwd: root, env: { TSX_DISABLE_CACHE: '1' } })
}

const epochs = (count: number) => ['--epochs', String(count)]
const small = ['--dataset', 'digits-patches', '--model', 'two-layer-pmoe', '--samples', '40']
const rest = ['--test-samples', '20', '--backend', 'wasm', '--seed', '3']

describe.skipIf(process.platform === 'win32')('where the disk is full', () => {
  test('a run says so, keeps its last checkpoint and model, and goes on later in the same numbers', async () => {
    const run = join(folder, 'run')
    const whole = join(folder, 'whole')
    await callPmoe(['train', ...small, ...rest, ...epochs(3), '--out', whole])
    await callPmoe(['train', ...small, ...rest, ...epochs(1), '--out', run])
    const checkpoints = join(run, 'checkpoints')
    const [checkpoint = ''] = await readdir(checkpoints)
    const before = await readFile(join(checkpoints, checkpoint))
    expect(before.length).toBeGreaterThan(4096)

    const failed = await runWithin(4, ['train', '--resume', '--out', run, ...epochs(3)])
    expect(failed.code).toBe(1)
    expect(failed.err).toMatch(/^pmoe: writeFileAtomic: .*checkpoints.* must be writable, got: EFBIG: /m)
    expect(await readFile(join(checkpoints, checkpoint))).toEqual(before)
    expect(await readdir(checkpoints)).toEqual([checkpoint])
    expect((await callPmoe(['evaluate', run, '--backend', 'wasm'])).code).toBe(0)

    const resumed = await callPmoe(['train', '--resume', '--out', run])
    expect(resumed.err).toBe('')
    const weights = (of: string) => readFile(join(of, 'model', 'weights.bin'))
    expect(await weights(run)).toEqual(await weights(whole))
  })
})
