import { readFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors } from '../../../src/data/formats/safetensors.js'
import { type SampleMoE, sampleMoE } from '../../../src/layers/moe/sample-moe.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../../src/train/checkpoint.js'
import { crossEntropy } from '../../../src/train/cross-entropy.js'
import { train } from '../../../src/train/loop.js'
import {
  createOptimizer,
  disposeOptimizer,
  readSlots,
  restoreSlots,
} from '../../../src/train/optimizers/optimizer.js'
import type { OptimizerOptions } from '../../../src/train/optimizers/optimizer-options.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'
import { brightRows, denseModel, historyOf, weightsOf, withoutClock } from '../tasks.js'

beforeAll(() => useTestBackend())

/** Gives a weight the gradient `value` and takes one step. */
function step(optimizer: tf.Optimizer, gradients: readonly (readonly [tf.Variable, number[]])[]): void {
  tf.tidy(() =>
    optimizer.applyGradients(
      gradients.map(([variable, values]) => ({
        name: variable.name,
        tensor: tf.tensor(values, variable.shape),
      })),
    ),
  )
}

function zeros(...shape: number[]): tf.Variable {
  return tf.tidy(() => tf.variable(tf.zeros(shape)))
}

function grouped(
  weights: readonly tf.Variable[],
  parts: number,
  options: Partial<OptimizerOptions> = {},
): tf.Optimizer {
  const groups = [{ weights: weights.map(({ name }) => name), parts }]
  return createOptimizer({ name: 'normalized-gd', learningRate: 0.5, groups, ...options })
}

describe('normalized-gd', () => {
  it('moves each part by the learning rate, and other weights by their gradient', () => {
    const [kernel, bias, other] = [zeros(2, 4), zeros(2), zeros(2)]
    const optimizer = grouped([kernel, bias], 2)
    // Part 0: kernel columns 0 and 1 with bias 0: 3, 0, 0, 0 and 4, norm 5. Part 1 has norm 2.
    step(optimizer, [
      [kernel, [3, 0, 0, 0, 0, 0, 0, -2]],
      [bias, [4, 0]],
      [other, [1, -2]],
    ])
    expectAllClose(kernel.dataSync(), [-0.3, 0, 0, 0, 0, 0, 0, 0.5])
    expectAllClose(bias.dataSync(), [-0.4, 0])
    expectAllClose(other.dataSync(), [-0.5, 1])
  })

  it('divides by the sum of the norms where that is asked for', () => {
    const [kernel, bias] = [zeros(1, 2), zeros(1)]
    // Norms 5 and 5: the sum is 10, the norm of all sqrt(50).
    step(grouped([kernel, bias], 1, { norm: 'sum' }), [
      [kernel, [3, 4]],
      [bias, [5]],
    ])
    expectAllClose(kernel.dataSync(), [-0.15, -0.2])
    expectAllClose(bias.dataSync(), [-0.25])
  })

  it('leaves a part without a gradient where it is, and never makes NaN', () => {
    const kernel = tf.variable(tf.tensor2d([[1, 2, 3, 4]]))
    step(grouped([kernel], 2), [[kernel, [0, 0, 0, 2]]])
    expect([...kernel.dataSync()]).toEqual([1, 2, 3, 3.5])
    step(grouped([kernel], 2, { l2: 0.1, momentum: 0.9 }), [[kernel, [0, 0, 0, 0]]])
    expect([...kernel.dataSync()]).toEqual([1, 2, 3, 3.5])
  })

  it('keeps the direction of a part while it has no gradient', () => {
    const kernel = zeros(1, 2)
    const optimizer = grouped([kernel], 2, { momentum: 0.5 })
    step(optimizer, [[kernel, [7, 1]]]) // a = 1, w = -0.5, in both parts
    step(optimizer, [[kernel, [0, 1]]]) // part 0 stays; a = 0.5 + 1, w = -0.5 - 0.75
    expectAllClose(kernel.dataSync(), [-0.5, -1.25])
    step(optimizer, [[kernel, [-3, 1]]]) // part 0: a = 0.5 - 1, w = -0.5 + 0.25; part 1: a = 0.75 + 1
    expectAllClose(kernel.dataSync(), [-0.25, -2.125])
  })

  it('adds the penalty to the normalised gradient, and to the plain one', () => {
    const [kernel, other] = [tf.variable(tf.tensor1d([4, 2])), tf.variable(tf.tensor1d([2]))]
    step(grouped([kernel], 1, { l2: 0.1 }), [
      [kernel, [0, 10]],
      [other, [10]],
    ])
    // 4 - 0.5 (0 + 0.4); 2 - 0.5 (1 + 0.2); 2 - 0.5 (10 + 0.2)
    expectAllClose(kernel.dataSync(), [3.8, 1.4])
    expectAllClose(other.dataSync(), [-3.1])
  })

  it('normalises gradients of every size', () => {
    for (const size of [1e-36, 1e-20, 1, 1e20, 1e37]) {
      const kernel = zeros(2)
      step(grouped([kernel], 1), [[kernel, [3 * size, 4 * size]]])
      expectAllClose(kernel.dataSync(), [-0.3, -0.4])
    }
  })

  it('shows NaN in a gradient instead of stepping over it', () => {
    const kernel = zeros(2)
    step(grouped([kernel], 1), [[kernel, [Number.NaN, 1]]])
    expect([...kernel.dataSync()].some(Number.isNaN)).toBe(true)
  })

  it('moves every part by the rate, whatever shapes and parts', () => {
    const shapes = fc.record({
      rows: fc.integer({ min: 1, max: 4 }),
      parts: fc.integer({ min: 1, max: 4 }),
      widths: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
    })
    fc.assert(
      fc.property(shapes, ({ rows, parts, widths }) => {
        const weights = widths.map(width => zeros(rows, parts * width))
        const optimizer = grouped(weights, parts)
        const gradients = weights.map(({ size }, i) =>
          Array.from({ length: size }, (_, j) => Math.sin(i + j + 1)),
        )
        step(
          optimizer,
          weights.map((weight, i) => [weight, gradients[i] as number[]]),
        )
        const squares = new Array<number>(parts).fill(0)
        for (const [i, weight] of weights.entries()) {
          const width = widths[i] as number
          for (const [j, value] of weight.dataSync().entries()) {
            const part = Math.floor((j % (parts * width)) / width)
            squares[part] = (squares[part] as number) + value * value
          }
        }
        expectAllClose(squares.map(Math.sqrt), new Array<number>(parts).fill(0.5), 1e-4)
        for (const weight of weights) weight.dispose()
      }),
      { numRuns: 25 },
    )
  })
})

describe('the state of normalized-gd', () => {
  const options = { momentum: 0.9 } as const

  it('carries it on bit by bit, and is freed', async () => {
    const before = tf.memory().numTensors
    const [kernel, other] = [zeros(2, 4), zeros(3)]
    const gradients = (i: number): [tf.Variable, number[]][] => [
      [kernel, Array.from({ length: 8 }, (_, j) => Math.sin(i + j))],
      [other, [1, i, 2]],
    ]
    const original = grouped([kernel], 2, options)
    for (let i = 0; i < 5; i++) step(original, gradients(i))
    const slots = await readSlots(original)
    expect(slots.map(([name, { shape }]) => [name, shape])).toEqual([
      ['0000/iter', []],
      ['0001/direction', [2, 4]],
    ])
    const start = kernel.clone()
    step(original, gradients(9))
    const expected = [...kernel.dataSync()]
    kernel.assign(start)
    const resumed = grouped([kernel], 2, options)
    await restoreSlots(resumed, slots, [kernel, other])
    step(resumed, gradients(9))
    expect([...kernel.dataSync()]).toEqual(expected)
    for (const optimizer of [original, resumed]) disposeOptimizer(optimizer)
    tf.dispose([kernel, other, start])
    expect(tf.memory().numTensors).toBe(before)
  })

  it('is refused for other weights', async () => {
    const [kernel, smaller] = [zeros(2, 4), zeros(2, 2)]
    const slots = await readSlots(grouped([kernel], 2, options))
    await expect(restoreSlots(grouped([smaller], 2, options), slots, [])).rejects.toThrow(
      new RangeError('optimizer: state 0001/direction of NormalizedGD must have shape [2, 2], got [2, 4]'),
    )
    await expect(restoreSlots(grouped([kernel], 2), slots, [])).rejects.toThrow(
      new RangeError('optimizer: state of NormalizedGD must have 1 tensors for 0 weights, got 2'),
    )
  })

  it('is none without momentum', async () => {
    expect(await readSlots(grouped([zeros(2)], 1))).toHaveLength(1)
  })

  it('is described by a configuration that makes the same optimizer', () => {
    const kernel = zeros(2)
    const optimizer = grouped([kernel], 1, options)
    const made = optimizer.constructor as unknown as {
      fromConfig(cls: unknown, config: object): tf.Optimizer
    }
    const twin = made.fromConfig(optimizer.constructor, optimizer.getConfig())
    step(optimizer, [[kernel, [1, 0]]])
    step(twin, [[kernel, [0, 1]]])
    expectAllClose(kernel.dataSync(), [-0.5, -0.5])
  })
})

describe('normalized-gd of a model', () => {
  const set = brightRows(24, 3, 1)
  const groups = [{ weights: ['hidden'], parts: 1 }]
  const base: OptimizerOptions = { name: 'normalized-gd', learningRate: 0.05, groups }

  function model(): tf.Sequential {
    const [flatten, , logits] = denseModel().layers
    const hidden = tf.layers.dense({
      name: 'hidden',
      units: 8,
      activation: 'relu',
      kernelInitializer: tf.initializers.glorotUniform({ seed: 3 }),
    })
    return tf.sequential({ layers: [flatten, hidden, logits] as tf.layers.Layer[] })
  }

  function run(trained: tf.LayersModel, optimizer: OptimizerOptions, options = {}) {
    return historyOf(train(trained, { train: set, epochs: 1, batchSize: 24, optimizer, seed: 1, ...options }))
  }

  it('moves a group by its rate, and the other weights as plain gradient descent does', async () => {
    const [normalized, plain] = [model(), model()]
    const before = weightsOf(normalized)
    await run(normalized, { ...base, layerRates: [{ pattern: '*', learningRate: 0.2 }] })
    await run(plain, { name: 'sgd', learningRate: 0.2 })
    const [kernel = [], bias = [], ...rest] = weightsOf(normalized)
    const moved = [kernel, bias].flatMap((values, i) =>
      values.map((value, j) => value - (before[i]?.[j] ?? 0)),
    )
    expect(Math.hypot(...moved)).toBeCloseTo(0.2, 5)
    for (const [i, values] of rest.entries()) expectAllClose(values, weightsOf(plain)[i + 2] as number[])
  })

  it('steps one weight of a layer at a rate of its own', async () => {
    const [normalized, plain] = [model(), model()]
    const layerRates = [{ pattern: `${plain.layers[2]?.name}/bias`, learningRate: 0.4 }]
    await run(normalized, {
      ...base,
      layerRates: [{ pattern: `${normalized.layers[2]?.name}/bias`, learningRate: 0.4 }],
    })
    await run(plain, { name: 'sgd', learningRate: 0.05, layerRates })
    for (const i of [2, 3]) {
      expectAllClose(weightsOf(normalized)[i] as number[], weightsOf(plain)[i] as number[])
    }
  })

  it('goes on exactly where it was stopped', async () => {
    const options = { epochs: 3, batchSize: 5 }
    const optimizer = { ...base, momentum: 0.9, l2: 0.01, norm: 'sum' as const }
    const whole = model()
    const history = await run(whole, optimizer, options)
    const store = memoryStore()
    const controller = new AbortController()
    const stopped = train(model(), {
      ...{ train: set, ...options, optimizer, seed: 1, checkpoints: store, signal: controller.signal },
    })
    for await (const event of stopped) if (event.type === 'step' && event.epoch === 2) controller.abort()
    const bytes = await store.read(latestCheckpoint)
    if (!bytes) throw new Error('no checkpoint')
    const resumed = model()
    const again = await run(resumed, optimizer, { ...options, resume: readCheckpoint(bytes, 'test') })
    expect(withoutClock(again)).toEqual(withoutClock(history))
    expect(weightsOf(resumed)).toEqual(weightsOf(whole))
  })

  it('takes the groups of the layers, without those that are not trained', async () => {
    const trained = model()
    const hidden = trained.layers[1] as tf.layers.Layer
    Object.assign(hidden, { normalizedGroups: [{ weights: hidden.weights, parts: 2 }] })
    const before = weightsOf(trained)
    await run(trained, { name: 'normalized-gd', learningRate: 0.05 })
    const squares = [0, 0]
    for (const i of [0, 1]) {
      for (const [j, value] of (weightsOf(trained)[i] ?? []).entries()) {
        const part = j % 8 < 4 ? 0 : 1
        squares[part] = (squares[part] ?? 0) + (value - (before[i]?.[j] ?? 0)) ** 2
      }
    }
    expectAllClose(squares.map(Math.sqrt), [0.05, 0.05])
    const frozen = weightsOf(trained)
    await run(trained, { name: 'normalized-gd', learningRate: 0.05 }, { freeze: ['hidden'] })
    expect(weightsOf(trained).slice(0, 2)).toEqual(frozen.slice(0, 2))
    expect(weightsOf(trained)[2]).not.toEqual(frozen[2])
  })

  it('refuses groups that do not fit the model, and rates of no weight', async () => {
    const refused = async (options: Partial<OptimizerOptions>, message: string, more = {}) =>
      expect(run(model(), { ...base, ...options }, more)).rejects.toThrow(new RangeError(message))
    const { groups: _, ...ungrouped } = base
    await expect(run(model(), ungrouped)).rejects.toThrow(
      'optimizer: groups must be given to normalized-gd for a model without a layer of experts that whole samples choose, got none',
    )
    await refused(
      { groups: [{ weights: ['hidden'], parts: 3 }] },
      'optimizer: groups[0].parts must divide the last axis of its weights, got 3 (hidden/kernel [16, 8])',
    )
    await refused(
      {
        groups: [
          { weights: ['hidden'], parts: 2 },
          { weights: ['*/bias'], parts: 1 },
        ],
      },
      'optimizer: groups[1].weights must be in no other group, got hidden/bias (of groups[0])',
    )
    await refused({}, 'optimizer: groups[0].weights must be weights that are trained, got hidden/kernel', {
      freeze: ['hidden'],
    })
    await refused(
      { groups: [{ weights: ['hidden/kernle'], parts: 1 }] },
      'optimizer: groups[0].weights must match a layer with weights, or one of its weights, got "hidden/kernle" (weights of hidden: kernel, bias)',
    )
    await refused(
      { layerRates: [{ pattern: 'hidden/router', learningRate: 0.1 }] },
      'train: layer of a learning rate must match a layer with weights, or one of its weights, got "hidden/router" (weights of hidden: kernel, bias)',
    )
    await refused(
      { layerRates: [{ pattern: 'hidden/bias', learningRate: -1 }] },
      'train: learning rate of hidden/bias must be greater than 0, got -1',
    )
  })

  it('refuses settings of other optimizers, and numbers out of range', () => {
    const refused = (options: object, message: string) =>
      expect(() => createOptimizer(options as OptimizerOptions)).toThrow(new RangeError(message))
    refused({ ...base, norm: 'max' }, 'optimizer: norm must be frobenius or sum, got max')
    refused({ ...base, name: 'sgd' }, 'optimizer: groups must be left out for sgd, got 1 groups')
    refused(
      { name: 'adam', learningRate: 1, norm: 'sum' },
      'optimizer: norm must be left out for adam, got sum',
    )
    refused({ ...base, l2: -0.1 }, 'optimizer: l2 must be a number of at least 0, got -0.1')
    refused({ ...base, momentum: 1 }, 'optimizer: momentum must be in [0, 1), got 1')
    refused({ ...base, groups: [] }, 'optimizer: groups must hold at least 1 group, got 0')
    refused(
      { ...base, groups: [{ weights: [], parts: 1 }] },
      'optimizer: groups[0].weights must be a list of at least 1 name, got []',
    )
    refused(
      { ...base, groups: [{ weights: ['a'], parts: 1.5 }] },
      'optimizer: groups[0].parts must be a positive integer, got 1.5',
    )
    refused(
      { name: 'normalized-gd', learningRate: 1 },
      'optimizer: normalized-gd must be created with its model, or with groups of variables and without layerRates, got 0 groups and 0 rates',
    )
    refused(base, 'normalized-gd: groups must name variables that exist, got hidden')
    const kernel = zeros(2, 3)
    const of = (weights: tf.Variable[], parts: number) => [
      { weights: weights.map(({ name }) => name), parts },
    ]
    refused(
      { ...base, groups: of([kernel], 2) },
      `normalized-gd: parts of a group must divide the last axis of its weights, got 2 (${kernel.name} [2, 3])`,
    )
    refused(
      { ...base, groups: of([kernel, kernel], 1) },
      `normalized-gd: groups must have each weight once, got ${kernel.name} twice`,
    )
  })
})

/**
 * The last entry names experts that are not compared: their samples are certain to 1 - 1e-26 and more. There double
 * precision, too, has lost the derivative by the right logit, which it computes as a difference, and the reference steps
 * along what is left.
 */
describe.each([
  ['raw', 'cubic', [1, 2]],
  ['raw', 'linear', []],
  ['softmax', 'cubic', []],
  ['softmax', 'linear', []],
  ['softmax', 'cubic_selection', []],
] as [gate: 'raw' | 'softmax', kind: string, certain: number[]][])(
  'three steps on the mixture %s %s of the golden values',
  (gate, kind, certain) => {
    it.each(['frobenius', 'sum'] as const)('with norm %s', async norm => {
      const file = new URL(`../../goldens/sample_moe_${gate}_${kind}.safetensors`, import.meta.url)
      const { tensors } = readSafetensors(new Uint8Array(await readFile(file)), 'golden')
      const golden = (name: string): tf.Tensor => {
        const stored = tensors.get(name)
        if (!stored) throw new Error(`no golden value ${name}`)
        return tf.tensor(Float32Array.from(stored.data as Float32Array), [...stored.shape])
      }
      const [model, layer] = goldenMixture(gate, kind)
      layer.setWeights(['router', 'kernel', 'bias'].map(golden))
      const weights = layer.weights.map(weight => weight.read() as tf.Variable)
      const [router, kernel, bias] = weights as [tf.Variable, tf.Variable, tf.Variable]
      const optimizer = createOptimizer(
        {
          name: 'normalized-gd',
          learningRate: 0.05,
          norm,
          layerRates: [{ pattern: 'mixture/router', learningRate: 0.1 }],
        },
        model,
      )
      const labels = tf.cast(tf.oneHot(tf.cast(golden('labels'), 'int32'), 2), 'float32') as tf.Tensor2D
      for (const [i, noise] of tf.unstack(golden('noise')).entries()) {
        tf.tidy(() => {
          const { value, grads } = tf.variableGrads(
            () => crossEntropy(labels, layer.apply(golden('x'), { training: true, noise }) as tf.Tensor2D),
            weights,
          )
          expect(value.dataSync()[0]).toBeCloseTo(golden(`losses_${norm}`).dataSync()[i] as number, 4)
          optimizer.applyGradients(grads)
        })
      }
      expectAllClose(router.dataSync(), golden(`router_${norm}_3`).dataSync(), 1e-3, 1e-5)
      for (const [name, variable] of Object.entries({ kernel, bias })) {
        const expected = expertsOf(golden(`${name}_${norm}_3`))
        for (const [expert, values] of expertsOf(variable).entries()) {
          if (!certain.includes(expert)) expectAllClose(values, expected[expert] as number[], 1e-3, 1e-5)
        }
      }
      disposeOptimizer(optimizer)
    })
  },
)

/** The values of each of the 3 experts. */
function expertsOf(weight: tf.Tensor): number[][] {
  return tf.tidy(() => tf.split(weight, 3, weight.rank - 1).map(part => [...part.dataSync()]))
}

/** The mixture of the golden values: 3 experts of 2 filters for each of 2 outputs, patches of 2x2. */
function goldenMixture(gate: 'raw' | 'softmax', kind: string): [tf.LayersModel, SampleMoE] {
  const layer = sampleMoE({
    name: 'mixture',
    numExperts: 3,
    outputs: 2,
    filtersPerOutput: 2,
    patchSize: 2,
    activation: kind === 'linear' ? 'linear' : 'cubic',
    gate,
    gateNoise: kind === 'cubic_selection' ? 'selection-only' : 'included',
  })
  const input = tf.input({ shape: [4, 4, 2] })
  return [tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor }), layer]
}
