import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { findNative, type NativeCandidate, whyUnusable } from '../../../src/backend/native/native.js'
import { multipliesBfloat16 } from '../../../src/backend/native/processor.js'
import { runSelfTestProcess } from '../../../src/backend/self-test/process.js'
import { type NativeVerdict, selfTest, verdictText } from '../../../src/backend/self-test/self-test.js'

// Native TensorFlow with faults that are planted in it, in processes as the self-test starts them.
const native = findNative().find(candidate => whyUnusable(candidate) === undefined) as NativeCandidate
const program = join(import.meta.dirname, 'faulty-tensorflow.ts')

let cache: string

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'planted-faults-'))
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(cache, { recursive: true })
})

test('wrong and dying operations are computed in another way, which is right', async () => {
  vi.stubEnv('PLANTED_FAULTS', 'Conv2DBackpropInput:wrong,ReluGrad:crash')
  const verdict = (await selfTest(native, { program, cache })) as NativeVerdict
  expect(verdict).toMatchObject({ isUsable: true, bfloat16: multipliesBfloat16() })
  expect(verdict.instructionSet).toBeUndefined()
  expect([...verdict.avoided].sort()).toEqual(['Conv2DBackpropInput', 'reluGradient'])
  const wrong = Object.fromEntries(
    verdict.operations.filter(one => !one.inBfloat16).map(one => [one.operation, one.wrong]),
  )
  expect(wrong.Conv2DBackpropInput).toMatch(/^4x4x1 map, 3x3 kernel, .* in the place of /)
  expect(wrong.reluGradient).toMatch(/^1x1x1x1 map: it ends with SIGABRT$/)
  expect(wrong.Conv2D).toBeUndefined()
  expect(verdictText(verdict)).toContain('computed in another way, since TensorFlow is wrong here')
})

test('memory that an operation damages ends the process later, and the results until then are told', async () => {
  vi.stubEnv('PLANTED_FAULTS', 'BiasAddGrad:memory')
  const order = { candidate: native, avoided: [], bfloat16: false }
  const run = await runSelfTestProcess(order, { program })
  expect(run.died).toBe('it ends with SIGABRT')
  expect(run.results.map(({ operation }) => operation)).toContain('channelSums')
  expect(run.results.every(one => one.wrong === undefined)).toBe(true)
})
