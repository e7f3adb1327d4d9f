import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { verificationText } from '../../scripts/commands/doctor.js'
import { convolutionChecks } from '../../src/backend/checks/convolution-checks.js'
import { verifyBackends } from '../../src/backend/doctor.js'
import type { NativeCandidate } from '../../src/backend/native/native.js'
import type { NativeVerdict } from '../../src/backend/self-test/self-test.js'
import { verificationOf } from '../../src/backend/verify.js'
import { callPmoe } from '../scripts/run-pmoe.js'

const candidate: NativeCandidate = {
  packageName: '@tensorflow/tfjs-node',
  folder: '/native',
  gpu: false,
  origin: 'pmoe native',
}

/** Wrong in bf16 alone; dying in float32, and replaced. */
const judged: NativeVerdict = {
  version: '2.21.0',
  isUsable: true,
  avoided: ['channelSums'],
  bfloat16: false,
  operations: [
    { operation: 'Conv2D', inBfloat16: false, checks: 20 },
    { operation: 'channelSums', inBfloat16: false, checks: 3, wrong: '1x1: it ends with SIGSEGV' },
    { operation: 'Conv2D', inBfloat16: true, checks: 10, wrong: 'small: 2 in the place of 1' },
    { operation: 'channelSums', inBfloat16: true, checks: 3 },
  ],
  seconds: 6.25,
}

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verify-'))
})

afterAll(() => rm(folder, { recursive: true }))

test('every operation of the table is right on wasm', async () => {
  const [wasm, ...others] = await verifyBackends({ cwd: folder, provided: join(folder, 'nothing') })
  expect(others).toEqual([])
  expect(wasm?.operations.filter(one => one.state !== 'right')).toEqual([])
  expect(wasm).toMatchObject({ backend: 'wasm', version: '4.22.0', isUsable: true })
  const sizes = wasm?.operations.reduce((sum, one) => sum + one.checked, 0) ?? 0
  expect(sizes).toBeGreaterThan(1000)
  expect(wasm?.verdict).toBe(`all ${wasm?.operations.length} operations are right, at ${sizes} sizes`)
  expect(wasm?.operations.find(one => one.operation === 'TopK')?.checked).toBe(8)
})

test('an operation of TensorFlow is right, replaced or refused', () => {
  expect(verificationText(verificationOf(candidate, judged))).toBe(
    [
      'tensorflow, 2.21.0, /native',
      'operation    sizes  in bf16                result',
      '-----------  -----  -------  --------------------',
      'Conv2D          20       10   right, bf16 refused',
      'channelSums      3        3  replaced, bf16 right',
      'channelSums in float32, 1x1: it ends with SIGSEGV',
      'Conv2D in bf16, small: 2 in the place of 1',
      'Verdict, after 6.3 s: channelSums computed in another way, since TensorFlow is wrong here; bf16 is refused, since it is wrong here.',
    ].join('\n'),
  )
})

test('with fewer instructions, or none: the verdict says it', () => {
  const operations = [{ operation: 'MaxPool', inBfloat16: false, checks: 4, wrong: 'it ends with SIGILL' }]
  const rest = { ...judged, operations, avoided: [] }
  const lowered = verificationOf(candidate, { ...rest, instructionSet: 'AVX2' })
  expect(lowered.operations[0]?.state).toBe('right with fewer instructions')
  expect(lowered.verdict).toBe('oneDNN keeps to AVX2, since with newer instructions MaxPool would be wrong')
  const refused = verificationOf(candidate, { ...rest, isUsable: false })
  expect(refused.operations[0]?.state).toBe('wrong')
  expect(refused).toMatchObject({
    isUsable: false,
    verdict: 'TensorFlow must compute right on this processor, got wrong: MaxPool',
  })
  const right = verificationOf(candidate, {
    ...rest,
    bfloat16: true,
    operations: [{ operation: 'MaxPool', inBfloat16: false, checks: 4 }],
  })
  expect(right.verdict).toBe('all 1 operations are right, at 4 sizes')
})

test('each seventh size still has every map, number of channels, kernel, stride and padding', () => {
  const parts = (every: number) =>
    new Set([...convolutionChecks(every)].flatMap(({ sizes }) => sizes.split(/, |x(?=\d+ map)/)))
  expect([...parts(7)].sort()).toEqual([...parts(1)].sort())
  expect([...convolutionChecks(7)].length).toBeLessThan([...convolutionChecks()].length / 6)
  const convolutions = (every: number) =>
    [...convolutionChecks(every)].filter(one => one.operation === 'Conv2D' && !one.inBfloat16).length
  expect([1, 7].map(convolutions)).toEqual([354, Math.ceil(354 / 7)])
})

test('the command takes nothing but its flags', async () => {
  const { code, err } = await callPmoe(['doctor', '--verify', 'wasm'])
  expect(code).toBe(2)
  expect(err).toContain("too many arguments for 'doctor'")
})
