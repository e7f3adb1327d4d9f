import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { bruteForcePatchMoE, bruteForceRoute } from './brute-force.js'
import { applyCase, type CaseOptions, caseOf } from './cases.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const GATES = ['softmax-selected', 'softmax-all', 'uniform'] as const
const SCALES = ['mean-one', 'none'] as const
const PRE = ['none', 'relu', 'batch-norm-relu'] as const
const BORDERS = ['zero', 'halo'] as const

function grid(): CaseOptions[] {
  const cases: CaseOptions[] = []
  for (const gate of GATES)
    for (const gateScale of SCALES)
      for (const preActivation of PRE)
        for (const border of BORDERS) cases.push({ gate, gateScale, preActivation, border })
  for (const border of BORDERS)
    for (const patchSize of [1, 2, 4, [4, 2]])
      for (const kernelSize of [1, 3, 5, [1, 3]]) {
        cases.push({ border, patchSize, kernelSize, patchesPerExpert: 2, preActivation: 'batch-norm-relu' })
      }
  for (let patchesPerExpert = 1; patchesPerExpert <= 8; patchesPerExpert++)
    cases.push({ patchesPerExpert, border: 'halo' })
  cases.push({ numExperts: 1, filters: 1 }, { numExperts: 5, filters: 10, patchesPerExpert: 8 })
  cases.push({ useBias: true, activation: 'tanh', curve: Math.tanh })
  cases.push({ useBias: true, activation: 'relu', curve: value => Math.max(value, 0), border: 'halo' })
  return cases
}

describe('PatchMoE equals plain loops', () => {
  for (const options of grid()) {
    for (const training of options.preActivation === 'batch-norm-relu' ? [true, false] : [true]) {
      it(`${JSON.stringify(options)} ${training ? 'training' : 'inference'}`, () => {
        const c = caseOf({ ...options, training })
        const expected = bruteForcePatchMoE(c.inputs, c.rule)
        expectAllClose(applyCase(c, training).dataSync(), expected.y)
      })
    }
  }
})

describe('PatchMoE.route', () => {
  it.each(GATES)('keeps the patches of the largest scores, %s', gate => {
    const c = caseOf({ gate, numExperts: 3, filters: 3, patchesPerExpert: 4 })
    const { indices, gates } = c.layer.route(c.x)
    const expected = bruteForceRoute(c.inputs, c.rule)
    expect(indices.dtype).toBe('int32')
    expect(indices.arraySync()).toEqual(expected.indices)
    expectAllClose(gates.arraySync(), expected.gates)
  })

  it('takes the lower patch number among equal scores', () => {
    const layer = patchMoE({ numExperts: 2, patchesPerExpert: 3, patchSize: 1, filters: 2, kernelSize: 1 })
    const x = tf.tensor4d([1, 5, 5, 1, 5, 1, 1, 1], [1, 2, 4, 1])
    layer.apply(x)
    layer.setWeights([tf.tensor4d([1, 0], [1, 1, 1, 2]), tf.zeros([1, 1, 1, 2])])
    expect(layer.route(x).indices.arraySync()).toEqual([
      [
        [1, 2, 4],
        [0, 1, 2],
      ],
    ])
  })

  it('refuses to route before it is built', () => {
    const layer = patchMoE({ name: 'early', numExperts: 1, patchesPerExpert: 1, patchSize: 1, filters: 1 })
    expect(() => layer.route(tf.zeros([1, 2, 2, 1]))).toThrow(
      'PatchMoE: the layer must be built before use, got layer early without input',
    )
  })
})

describe('PatchMoE and Conv2D', () => {
  it.each([1, 3, 5])('are equal at L = N, gate uniform, border halo, kernel %i', kernelSize => {
    const c = caseOf({
      kernelSize,
      patchesPerExpert: 8,
      gate: 'uniform',
      border: 'halo',
      numExperts: 4,
      filters: 8,
      useBias: true,
      activation: 'elu',
    })
    const convolution = tf.layers.conv2d({ filters: 8, kernelSize, padding: 'same', activation: 'elu' })
    const expected = () => convolution.apply(c.x) as tf.Tensor
    expected()
    convolution.setWeights(c.layer.getWeights().slice(1))
    expectAllClose(applyCase(c, true).dataSync(), expected().dataSync())
  })
})

describe('batch-norm-relu experts', () => {
  it('move their averages towards the biased statistics of kept patches', () => {
    const c = caseOf({ preActivation: 'batch-norm-relu', border: 'halo', momentum: 0.9 })
    const before = c.layer.getWeights().map(weight => weight.dataSync())
    const { mean, variance } = bruteForcePatchMoE(c.inputs, c.rule)
    applyCase(c, true)
    const after = c.layer.getWeights().map(weight => weight.dataSync())
    const moved = (at: number, to: number[][]) =>
      to.flat().map((value, i) => 0.9 * (before[at]?.[i] as number) + 0.1 * value)
    expectAllClose(after[4] as Float32Array, moved(4, mean))
    expectAllClose(after[5] as Float32Array, moved(5, variance))
  })

  it('leave their averages alone in inference', () => {
    const c = caseOf({ preActivation: 'batch-norm-relu' })
    const before = c.layer.getWeights().map(weight => Array.from(weight.dataSync()))
    applyCase(c, false)
    expect(c.layer.getWeights().map(weight => Array.from(weight.dataSync()))).toEqual(before)
  })
})

describe('the name of a PatchMoE', () => {
  const options = { filters: 4, numExperts: 2, patchesPerExpert: 1, patchSize: 2 } as const

  it('reads patch_moe unless it is given', () => {
    expect(patchMoE(options).name).toMatch(/^patch_moe_PatchMoE\d+$/)
    expect(patchMoE({ ...options, name: 'patch_mo_e_PatchMoE7' }).name).toBe('patch_mo_e_PatchMoE7')
    const { name } = patchMoE(options)
    expect(patchMoE(options).name).not.toBe(name)
  })
})

describe('PatchMoE refuses', () => {
  it.each(['softmax', 'logSoftmax'] as const)('%s, unless one expert has all channels', activation => {
    const options = { filters: 6, patchesPerExpert: 1, patchSize: 2, activation: activation as 'softmax' }
    expect(() => patchMoE({ ...options, numExperts: 3 })).toThrow(
      `PatchMoE: activation must be of each channel by itself, got ${activation} (it runs over all 6 filters, which ` +
        '3 experts share out among them)',
    )
    expect(patchMoE({ ...options, numExperts: 1 }).filters).toBe(6)
  })

  const good = { numExperts: 2, patchesPerExpert: 4, patchSize: 2, filters: 4 }
  it.each([
    [{ ...good, numExperts: 0 }, 'PatchMoE: numExperts must be a positive integer, got 0'],
    [{ ...good, patchesPerExpert: 0 }, 'PatchMoE: patchesPerExpert must be a positive integer, got 0'],
    [
      { ...good, patchesPerExpert: Number.NaN },
      'PatchMoE: patchesPerExpert must be a positive integer, got NaN',
    ],
    [{ ...good, patchesPerExpert: 1.5 }, 'PatchMoE: patchesPerExpert must be a positive integer, got 1.5'],
    [
      { ...good, filters: 5 },
      'PatchMoE: filters must be a positive multiple of numExperts, got 5 (2 experts)',
    ],
    [
      { ...good, filters: 0 },
      'PatchMoE: filters must be a positive multiple of numExperts, got 0 (2 experts)',
    ],
    [
      { ...good, patchSize: 0 },
      'PatchMoE: patchSize must be a positive integer or [height, width] of them, got 0',
    ],
    [
      { ...good, patchSize: [2] },
      'PatchMoE: patchSize must be a positive integer or [height, width] of them, got [2]',
    ],
    [{ ...good, kernelSize: 4 }, 'PatchMoE: kernelSize must be odd, got 4x4'],
    [
      { ...good, gate: 'top' },
      `PatchMoE: gate must be one of 'softmax-selected', 'softmax-all', 'uniform', got "top"`,
    ],
    [{ ...good, gateScale: 'two' }, `PatchMoE: gateScale must be one of 'mean-one', 'none', got "two"`],
    [{ ...good, border: 'wrap' }, `PatchMoE: border must be one of 'zero', 'halo', got "wrap"`],
    [
      { ...good, preActivation: 'gelu' },
      `PatchMoE: preActivation must be one of 'none', 'relu', 'batch-norm-relu', got "gelu"`,
    ],
    [{ ...good, momentum: 1 }, 'PatchMoE: momentum must be in [0, 1), got 1'],
    [{ ...good, epsilon: 0 }, 'PatchMoE: epsilon must be in (0, Infinity), got 0'],
  ])('%j', (options, message) => {
    expect(() => patchMoE(options as Parameters<typeof patchMoE>[0])).toThrow(new RangeError(message))
  })

  it.each([
    [
      {},
      [null, 8, 6, 3, 1],
      'PatchMoE: input must have rank 4 (batch, height, width, channels), got shape (null, 8, 6, 3, 1)',
    ],
    [
      {},
      [null, null, 6, 3],
      'PatchMoE: height, width and channels of the input must be known and positive, got shape (null, null, 6, 3)',
    ],
    [
      {},
      [null, 0, 6, 3],
      'PatchMoE: height, width and channels of the input must be known and positive, got shape (null, 0, 6, 3)',
    ],
    [{ patchSize: [4, 4] }, [null, 8, 6, 3], 'PatchMoE: patchSize must divide the map, got 4x4 (map 8x6)'],
    [
      { patchSize: 1, patchesPerExpert: 80 },
      [null, 8, 8, 3],
      'PatchMoE: patchesPerExpert must be an integer in [1, 64], got 80 (64 patches: 8x8 map in 1x1 patches)',
    ],
  ])('%j on a map of %j', (options, shape, message) => {
    const layer = patchMoE({ ...good, ...options })
    expect(() => layer.build(shape)).toThrow(new RangeError(message))
  })

  it('several inputs', () => {
    expect(() =>
      patchMoE(good).build([
        [null, 4, 4, 1],
        [null, 4, 4, 1],
      ]),
    ).toThrow(new TypeError('PatchMoE: input must be one tensor, got 2'))
  })
})
