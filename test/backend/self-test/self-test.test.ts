import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { NativeCandidate } from '../../../src/backend/native/native.js'
import { runSelfTestProcess } from '../../../src/backend/self-test/process.js'
import { type NativeVerdict, selfTest, verdictText } from '../../../src/backend/self-test/self-test.js'

// A processor with the newest instructions, whatever the tests run on.
vi.mock('../../../src/backend/native/processor.js', async original => ({
  ...(await original<object>()),
  vectorFlags: () => ['avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16'],
  multipliesBfloat16: () => true,
}))

const program = join(import.meta.dirname, 'scripted-process.mjs')
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

async function verdictWith(faults: string): Promise<NativeVerdict> {
  vi.stubEnv('PLANTED_FAULTS', faults)
  return (await selfTest(nowhere, { program, cache })) as NativeVerdict
}

const wrongOf = (verdict: NativeVerdict): string[] =>
  verdict.operations
    .filter(one => one.wrong)
    .map(({ operation, inBfloat16 }) => (inBfloat16 ? `${operation} in bf16` : operation))

describe('what is judged of a TensorFlow', () => {
  test('without faults: everything is right, and the stored verdict is read the next time', async () => {
    const verdict = await verdictWith('')
    expect(wrongOf(verdict)).toEqual([])
    expect(verdict).toMatchObject({ version: '2.21.0', isUsable: true, avoided: [], bfloat16: true })
    expect(verdict.instructionSet).toBeUndefined()
    expect(verdictText(verdict)).toBeUndefined()
    expect(verdict.operations.find(({ operation }) => operation === 'TopK')?.checks).toBe(1)
    // A program that is not there would be no verdict.
    const none = { program: join(cache, 'none.js'), cache }
    expect(await selfTest(nowhere, none)).toEqual(verdict)
    expect(await selfTest(nowhere, { ...none, again: true })).toBeUndefined()
    const [file = ''] = await readdir(cache)
    await writeFile(join(cache, file), (await readFile(join(cache, file), 'utf8')).slice(0, -9))
    expect(await selfTest(nowhere, none)).toBeUndefined()
  })

  test('wrong, dying, and damaging memory for later: all are computed in another way', async () => {
    const verdict = await verdictWith('Conv2DBackpropInput:wrong,reluGradient:crash,channelSums:memory')
    expect(verdict).toMatchObject({ isUsable: true, bfloat16: true })
    expect(verdict.instructionSet).toBeUndefined()
    expect([...verdict.avoided].sort()).toEqual(['Conv2DBackpropInput', 'channelSums', 'reluGradient'])
    const inFloat32 = verdict.operations.filter(one => !one.inBfloat16)
    const wrong = Object.fromEntries(inFloat32.map(one => [one.operation, one.wrong]))
    expect(wrong).toMatchObject({
      Conv2DBackpropInput: 'one size: 2 in the place of 1',
      reluGradient: 'one size: it ends with SIGSEGV',
      channelSums: 'one size: it ends with SIGABRT',
    })
    expect(verdictText(verdict)).toContain('computed in another way, since TensorFlow is wrong here')
  })

  test('wrong with the newest instructions only, of an operation that is not replaced: fewer are used', async () => {
    const verdict = await verdictWith('MaxPool:newest')
    expect(verdict).toMatchObject({ isUsable: true, instructionSet: 'AVX2', avoided: [], bfloat16: false })
    expect(verdictText(verdict)).toMatch(
      /^oneDNN keeps to AVX2, since with newer instructions MaxPool would be wrong/,
    )
  })

  test('wrong whatever is done: refused', async () => {
    const verdict = await verdictWith('TopK:crash')
    expect(verdict.isUsable).toBe(false)
    expect(verdictText(verdict)).toBe('TensorFlow must compute right on this processor, got wrong: TopK')
  })

  test('wrong where the user has limited the instructions: fewer than those', async () => {
    vi.stubEnv('ONEDNN_MAX_CPU_ISA', 'AVX512_CORE')
    expect(await verdictWith('MaxPool:newest')).toMatchObject({ isUsable: true, instructionSet: 'AVX2' })
    vi.stubEnv('ONEDNN_MAX_CPU_ISA', 'AVX2')
    // SSE4.1 is all that is left.
    expect(await verdictWith('MaxPool:wrong')).toMatchObject({ isUsable: false })
  })

  test('wrong in bf16 only: bf16 is refused', async () => {
    const verdict = await verdictWith('Conv2D:bf16')
    expect(verdict).toMatchObject({ isUsable: true, avoided: [], bfloat16: false })
    expect(wrongOf(verdict)).toEqual(['Conv2D in bf16'])
    expect(verdictText(verdict)).toBe('bf16 is refused, since it is wrong here')
  })

  test('dying as it loads: refused', async () => {
    const verdict = await verdictWith('loading:crash')
    expect(verdict.isUsable).toBe(false)
    expect(verdict.operations).toEqual([
      { operation: 'loading', inBfloat16: false, checks: 0, wrong: 'it ends with SIGILL' },
    ])
  })
})

test('an installation that does not load has no verdict, and none is stored', async () => {
  expect(await selfTest(nowhere, { cache })).toBeUndefined()
  expect(await readdir(cache)).toEqual([])
})

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
  expect(await runSelfTestProcess(order, { program: hanging, patience: 3000 })).toEqual({
    version: '1',
    results: [{ operation: 'Conv2D', sizes: 'one', inBfloat16: false }],
    died: 'it does not end',
  })
})

test('no verdict is lost where nothing can be stored', async () => {
  vi.stubEnv('PLANTED_FAULTS', '')
  await writeFile(join(cache, 'file'), '')
  const verdict = await selfTest(nowhere, { program, cache: join(cache, 'file', 'folder') })
  expect(verdict?.isUsable).toBe(true)
})
