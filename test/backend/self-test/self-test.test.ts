import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { findNative, type NativeCandidate, whyUnusable } from '../../../src/backend/native/native.js'
import { multipliesBfloat16, vectorFlags } from '../../../src/backend/native/processor.js'
import { runSelfTestProcess } from '../../../src/backend/self-test/process.js'
import { type NativeVerdict, selfTest, verdictText } from '../../../src/backend/self-test/self-test.js'

const native = findNative().find(candidate => whyUnusable(candidate) === undefined)
const program = join(import.meta.dirname, 'faulty-tensorflow.ts')
const nowhere: NativeCandidate = {
  packageName: '@tensorflow/tfjs-node',
  folder: '/nowhere',
  gpu: false,
  origin: 'project',
}

let cache: string

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'self-test-'))
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(cache, { recursive: true })
})

function verdictWith(faults: string): Promise<NativeVerdict | undefined> {
  vi.stubEnv('PLANTED_FAULTS', faults)
  return selfTest(native as NativeCandidate, { program, cache })
}

const wrongOf = (verdict: NativeVerdict | undefined): string[] =>
  (verdict?.operations ?? [])
    .filter(one => one.wrong)
    .map(({ operation, inBfloat16 }) => (inBfloat16 ? `${operation} in bf16` : operation))

describe.runIf(native)('a TensorFlow with planted faults', () => {
  test('none: everything is right, and the stored verdict is read the next time', async () => {
    const verdict = await verdictWith('')
    expect(wrongOf(verdict)).toEqual([])
    expect(verdict).toMatchObject({ isUsable: true, avoided: [], bfloat16: multipliesBfloat16() })
    expect(verdict && verdictText(verdict)).toBeUndefined()
    expect(verdict?.operations.find(({ operation }) => operation === 'TopK')?.checks).toBe(4)
    // A program that is not there would be no verdict.
    const again = { program: join(cache, 'none.js'), cache }
    expect(await selfTest(native as NativeCandidate, again)).toEqual(verdict)
    const [file = ''] = await readdir(cache)
    await writeFile(join(cache, file), (await readFile(join(cache, file), 'utf8')).slice(0, -9))
    expect(await selfTest(native as NativeCandidate, again)).toBeUndefined()
  }, 300_000)

  test('wrong, dying, and damaging memory for later: all are computed in another way, which is right', async () => {
    const verdict = await verdictWith('Conv2DBackpropInput:wrong,ReluGrad:crash,BiasAddGrad:memory')
    expect(verdict?.isUsable).toBe(true)
    expect(verdict?.instructionSet).toBeUndefined()
    expect([...(verdict?.avoided ?? [])].sort()).toEqual([
      'Conv2DBackpropInput',
      'channelSums',
      'reluGradient',
    ])
    expect(wrongOf(verdict)).toEqual(expect.arrayContaining(verdict?.avoided as string[]))
    const died = verdict?.operations.find(one => one.operation === 'channelSums' && one.wrong)?.wrong
    expect(died).toContain('it ends with SIGABRT')
  }, 600_000)

  test.runIf(vectorFlags().includes('avx512f'))(
    'wrong with the newest instructions only: fewer are used',
    async () => {
      const verdict = await verdictWith('MaxPool:newest')
      expect(verdict).toMatchObject({ isUsable: true, instructionSet: 'AVX2', avoided: [], bfloat16: false })
      expect(verdict && verdictText(verdict)).toMatch(
        /^oneDNN keeps to AVX2, since with newer instructions .*MaxPool/,
      )
    },
    600_000,
  )

  test.runIf(multipliesBfloat16())(
    'wrong in bf16 only: bf16 is refused',
    async () => {
      const verdict = await verdictWith('Conv2D:bf16')
      expect(verdict).toMatchObject({ isUsable: true, avoided: [], bfloat16: false })
      expect(wrongOf(verdict)).toContain('Conv2D in bf16')
      expect(verdict && verdictText(verdict)).toBe('bf16 is refused, since it is wrong here')
    },
    600_000,
  )

  test('wrong whatever is done: refused', async () => {
    const verdict = await verdictWith('TopKV2:crash')
    expect(verdict?.isUsable).toBe(false)
    expect(verdict && verdictText(verdict)).toBe(
      'TensorFlow must compute right on this processor, got wrong: TopK',
    )
  }, 600_000)

  test('dying as it loads: refused', async () => {
    const verdict = await verdictWith('loading:')
    expect(verdict?.isUsable).toBe(false)
    expect(verdict?.operations[0]?.wrong).toContain('it ends with SIGILL')
  }, 300_000)
})

test('an installation that does not load has no verdict, and none is stored', async () => {
  expect(await selfTest(nowhere, { cache })).toBeUndefined()
  expect(await readdir(cache)).toEqual([])
}, 300_000)

test('an operation that does not end is ended and named', async () => {
  const hanging = join(cache, 'hanging.mjs')
  const lines = [
    { kind: 'loaded', version: '1' },
    { kind: 'start', operation: 'Conv2D', sizes: 'one', inBfloat16: false },
  ]
  await writeFile(
    hanging,
    `console.log(${JSON.stringify(lines.map(line => JSON.stringify(line)).join('\n'))}); setInterval(() => {}, 1e6)`,
  )
  const order = { candidate: nowhere, avoided: [], bfloat16: false }
  expect(await runSelfTestProcess(order, { program: hanging, patience: 5000 })).toEqual({
    version: '1',
    results: [{ operation: 'Conv2D', sizes: 'one', inBfloat16: false }],
    died: 'it does not end',
  })
})

test('no verdict is lost where nothing can be stored', async () => {
  vi.stubEnv('PLANTED_FAULTS', 'loading:')
  await writeFile(join(cache, 'file'), '')
  const verdict = await selfTest(nowhere, { program, cache: join(cache, 'file', 'folder') })
  expect(verdict?.isUsable).toBe(false)
}, 300_000)
