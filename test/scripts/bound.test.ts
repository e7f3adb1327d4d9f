import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { linearRouterDimension, pmoeTheory, smoeBound } from '../../src/theory/index.js'
import { callPmoe } from './run-pmoe.js'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-bound-'))
  await train(
    'two',
    '--model',
    'two-layer-pmoe',
    '--experts',
    '4',
    '--patches-per-expert',
    '3',
    '--epochs',
    '2',
  )
  await train('cnn', '--model', 'two-layer', '--epochs', '1')
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function train(name: string, ...flags: string[]): Promise<void> {
  const data = ['--dataset', 'theory-patches', '--samples', '64', '--test-samples', '32']
  const { code, err } = await callPmoe([
    'train',
    ...data,
    '--hidden-units',
    '8',
    '--backend',
    'wasm',
    '--out',
    join(root, name),
    ...flags,
  ])
  expect(err).toBe('')
  expect(code).toBe(0)
}

const bound = (run: string, ...flags: string[]) =>
  callPmoe(['bound', join(root, run), '--backend', 'wasm', ...flags])

test('says first that a bound is vacuous, then why it is outside of the theorem, then the numbers', async () => {
  const { code, out, err } = await bound('two')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  const [first, second] = out.split('\n')
  expect(first).toMatch(
    /^vacuous: the bound is [\d.]+ >= 1, and a loss in \[0,1\] is never more than 1; only the ranking over T, k, m says anything$/,
  )
  expect(second).toMatch(
    /^outside the theorem: experts choose patches, the theorem is about items that choose experts;/,
  )
  expect(out).toContain('K = 4 experts, m = 64 training items')
  expect(out).toContain('formula with its constant set to 1; an upper bound in order only')
  expect(out).toMatch(/ramp loss, margin 1 +0\.\d{4} +0\.\d{4} +[+-]0\.\d{4}\n/)
  expect(out).toMatch(/\n\d \(largest\) +[\d.]+ +[\d.]+\n/)
})

test('writes every number as JSON', async () => {
  const { out } = await bound('two', '--json', '--delta', '0.1', '--margin', '0.5')
  const judged = JSON.parse(out)
  expect(judged).toMatchObject({ model: 'two-layer-pmoe', delta: 0.1, margin: 0.5, lipschitz: 2, classes: 2 })
  const [mixture] = judged.mixtures
  expect(mixture).toMatchObject({ className: 'TwoLayerExperts', insideTheorem: false, experts: 4, active: 4 })
  // Every patch of 16 has 64 numbers.
  const routerDimension = linearRouterDimension({ inputs: 64, experts: 4 })
  const { complexity, gateFactor } = mixture.complexity
  expect(mixture).toMatchObject(
    smoeBound({
      experts: 4,
      active: 4,
      samples: 64,
      routerDimension,
      delta: 0.1,
      lipschitz: 2,
      expertComplexity: complexity * gateFactor,
    }),
  )
  expect(mixture.theory).toEqual(pmoeTheory({ patches: 16, patchesPerExpert: 3, experts: 4 }))
  expect(mixture.perExpert).toHaveLength(4)
  const { train, test: held, testMinusTraining } = judged.measured
  expect([train.count, held.count]).toEqual([64, 32])
  expect(testMinusTraining.ramp).toBeCloseTo(held.ramp - train.ramp, 12)
  expect(train.ramp).toBeGreaterThanOrEqual(train.zeroOne)
})

test('applies the theorem to samples that choose experts', async () => {
  const run = join(root, 'clusters')
  const data = ['--dataset', 'theory-clusters', '--samples', '100', '--test-samples', '60']
  const mixture = ['--model', 'sample-moe', '--experts', '6', '--experts-per-sample', '2', '--epochs', '3']
  const trained = await callPmoe(['train', ...data, ...mixture, '--backend', 'wasm', '--out', run])
  expect(trained.code).toBe(0)
  const { out } = await bound('clusters', '--json')
  const { mixtures, measured } = JSON.parse(out)
  expect(mixtures).toEqual([
    expect.objectContaining({
      className: 'SampleMoE',
      insideTheorem: true,
      experts: 6,
      active: 2,
      samples: 100,
      routerDimension: 6 * 50,
    }),
  ])
  expect(mixtures[0].cautions).toEqual([
    expect.stringMatching(/^vacuous: /),
    expect.stringMatching(/^the slope of the experts' activation is unbounded: .*, [\d.e+-]+$/),
  ])
  expect(mixtures[0].perExpert).toHaveLength(6)
  expect(measured.test.count).toBe(60)
})

test('needs a mixture of experts', async () => {
  // The CNN of the theory is one expert that sees every patch.
  const { out } = await bound('cnn')
  expect(out).toContain('one expert: there is nothing to choose, and d_N is 0')
  const dense = ['--dataset', 'fashion-quadrants', '--model', 'wrn', '--samples', '8', '--test-samples', '8']
  const run = join(root, 'dense')
  await callPmoe(['train', ...dense, '--epochs', '1', '--backend', 'wasm', '--out', run])
  expect(await bound('dense')).toEqual({
    code: 1,
    out: '',
    err: `pmoe: ${run}: the model must have a mixture of experts, got wrn without one\n`,
  })
})

test.each([
  ['--delta', '0', 'It must be a number in (0, 1)'],
  ['--delta', '1', 'It must be a number in (0, 1)'],
  ['--delta', 'half', 'It must be a number in (0, 1)'],
  ['--margin', '0', 'It must be a number above 0'],
  ['--margin', '-2', 'It must be a number above 0'],
])('refuses %s %s', async (flag, value, message) => {
  const { code, err } = await bound('two', flag, value)
  expect(code).toBe(2)
  expect(err).toContain(`'${value}' is invalid`)
  expect(err).toContain(message)
})

test('names what is gone: a run, or the folder of its data', async () => {
  expect(await bound('none')).toMatchObject({ code: 1, out: '' })
  const prepared = join(root, 'prepared')
  const data = ['digits-patches', '--samples', '20', '--test-samples', '20', '--out', prepared]
  expect((await callPmoe(['data', 'prepare', ...data])).code).toBe(0)
  const run = [
    '--dataset',
    'digits-patches',
    '--data',
    prepared,
    '--model',
    'two-layer-pmoe',
    '--epochs',
    '1',
  ]
  await callPmoe(['train', ...run, '--backend', 'wasm', '--out', join(root, 'moved')])
  const moved = join(root, 'elsewhere')
  await rename(prepared, moved)
  const gone = await bound('moved')
  expect(gone).toMatchObject({ code: 1, out: '' })
  expect(gone.err).toContain(prepared)
  expect((await bound('moved', '--data', moved)).code).toBe(0)
})
