import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { batchNormalization } from '../../src/layers/batch-norm.js'
import { frugalForward } from '../../src/layers/frugal-forward.js'
import { recomputeActivations } from '../../src/layers/recomputation.js'
import { relu } from '../../src/layers/relu.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { releaseEarly } from '../../src/train/early-release.js'
import { freezeLayers } from '../../src/train/frozen/frozen-layers.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => {
  recomputeActivations(false)
  tf.engine().endScope()
})

type Forward = (x: tf.Tensor, training: boolean) => tf.Tensor
const pmoe = { numExperts: 2, patchesPerExpert: 4, patchSize: 1 }
const whole =
  (model: tf.LayersModel): Forward =>
  (x, training) =>
    model.apply(x, { training }) as tf.Tensor

/** Gradients of a loss, and the most buffers that were in use at the end of an operation. */
function gradients(model: tf.LayersModel, forward: Forward): { numbers: number[][]; peak: number } {
  const x = tf.randomNormal([4, 16, 16, 3], 0, 1, 'float32', 1)
  const variables = model.trainableWeights.map(weight => weight.read() as tf.Variable)
  const { runKernel } = tf.engine()
  const engine = tf.engine() as { runKernel: typeof runKernel }
  const start = tf.memory().numDataBuffers
  let peak = 0
  engine.runKernel = (...args) => {
    const result = runKernel.apply(tf.engine(), args)
    peak = Math.max(peak, tf.memory().numDataBuffers - start)
    return result as never
  }
  try {
    const { grads } = tf.variableGrads(() => {
      const loss = tf.sum(tf.square(forward(x, true))) as tf.Scalar
      releaseEarly()
      return loss
    }, variables)
    return { numbers: variables.map(({ name }) => Array.from(grads[name]?.dataSync() ?? [])), peak }
  } finally {
    engine.runKernel = runKernel
  }
}

describe('frugalForward', () => {
  const build = (variant: 'sparse' | 'drop-in' | 'authors') =>
    wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, pmoe, variant, seed: 2 })

  it.each(['sparse', 'drop-in', 'authors'] as const)('changes no number of a network, %s', variant => {
    const model = build(variant)
    const x = tf.randomNormal([2, 16, 16, 3], 0, 1, 'float32', 3)
    expect(frugalForward(model)(x, false).dataSync()).toEqual(whole(model)(x, false).dataSync())
    const expected = gradients(model, whole(model)).numbers
    expect(gradients(model, frugalForward(model)).numbers).toEqual(expected)
    recomputeActivations(true)
    expect(gradients(model, frugalForward(model)).numbers).toEqual(expected)
  })

  it('holds fewer maps at once, and fewer still when activations are computed again', () => {
    const model = build('drop-in')
    const usual = gradients(model, whole(model)).peak
    const frugal = gradients(model, frugalForward(model)).peak
    recomputeActivations(true)
    const again = gradients(model, frugalForward(model)).peak
    expect(frugal).toBeLessThan(usual)
    expect(again).toBeLessThan(frugal)
  })

  it('has a BatchNorm do the work of the ReLU after it, where nothing else reads its output', () => {
    const input = tf.input({ shape: [3] })
    const [norm, other] = [batchNormalization({ name: 'norm' }), batchNormalization({ name: 'other' })]
    const normal = norm.apply(input) as tf.SymbolicTensor
    const alone = relu().apply(normal) as tf.SymbolicTensor
    const both = other.apply(alone) as tf.SymbolicTensor
    const sum = tf.layers.add().apply([relu().apply(both) as tf.SymbolicTensor, both]) as tf.SymbolicTensor
    const asked: Record<string, unknown>[] = []
    for (const layer of [norm, other]) layer.setCallHook((_, kwargs) => asked.push({ ...kwargs }))
    const x = tf.tensor2d([
      [1, -2, 3],
      [-3, 5, 0],
    ])
    const negative = (values: ArrayLike<number>) => Array.from(values).some(value => value < 0)
    for (const training of [true, false]) {
      const models = { alone, both, normal, sum }
      for (const [name, outputs] of Object.entries(models)) {
        const model = tf.model({ inputs: input, outputs })
        const forward = frugalForward(model)
        asked.length = 0
        const actual = forward(x, training).dataSync()
        const rectified = name === 'normal' ? [undefined] : name === 'alone' ? [true] : [true, undefined]
        if (training) expect(asked.map(({ rectify }) => rectify)).toEqual(rectified)
        expect(actual).toEqual(whole(model)(x, training).dataSync())
        expect(negative(actual)).toBe(name !== 'alone')
      }
    }
  })

  it('rectifies after a frozen BatchNorm, too', () => {
    const model = tf.sequential({ layers: [batchNormalization({ inputShape: [2] }), relu()] })
    const frozen = freezeLayers(model, { freeze: ['*'] })
    const x = tf.tensor2d([[-1, 2]])
    // Moments 0 and 1, as they begin, and not those of the batch.
    const expected = 2 / Math.sqrt(1 + 1e-3)
    const [zero, other] = frugalForward(model)(x, true).dataSync()
    frozen.restore()
    expect(zero).toBe(0)
    expect(other).toBeCloseTo(expected, 5)
  })

  it('leaks nothing and leaves its input', () => {
    const model = build('sparse')
    const x = tf.randomNormal([1, 16, 16, 3])
    const before = tf.memory().numTensors
    frugalForward(model)(x, false).dispose()
    expect(tf.memory().numTensors).toBe(before)
    expect(x.isDisposed).toBe(false)
  })

  it('applies nested and shared layers, and masks as tfjs does', () => {
    const shared = tf.layers.dense({ units: 4 })
    const inner = tf.sequential({
      layers: [tf.layers.dense({ units: 4, inputShape: [4], activation: 'relu' })],
    })
    const input = tf.input({ shape: [4] })
    const once = shared.apply(input) as tf.SymbolicTensor
    const twice = shared.apply(inner.apply(once) as tf.SymbolicTensor) as tf.SymbolicTensor
    const sum = tf.layers.add().apply([once, twice, input]) as tf.SymbolicTensor
    const model = tf.model({ inputs: input, outputs: sum })
    const x = tf.randomNormal([3, 4])
    expect(frugalForward(model)(x, true).dataSync()).toEqual(whole(model)(x, true).dataSync())

    const masked = tf.sequential({
      layers: [tf.layers.masking({ maskValue: 0, inputShape: [5, 2] }), tf.layers.simpleRNN({ units: 3 })],
    })
    const sequence = tf.concat([tf.ones([1, 3, 2]), tf.zeros([1, 2, 2])], 1)
    expect(frugalForward(masked)(sequence, false).dataSync()).toEqual(
      whole(masked)(sequence, false).dataSync(),
    )
  })
})
