import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  BatchNormalization,
  type BatchNormalizationOptions,
  batchNormalization,
  moveTowards,
} from '../../src/layers/batch-norm.js'
import { type BatchNormInputs, composedOps, layerOps, registerLayerOps } from '../../src/layers/ops.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { draw, drawTensor, tensorOf } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** Our layer and that of tfjs, with the same random weights. */
function pairOf(options: BatchNormalizationOptions, shape: readonly number[]) {
  const layers = [batchNormalization(options), tf.layers.batchNormalization(options)] as const
  for (const layer of layers) {
    layer.build([null, ...shape.slice(1)])
    const weights = layer.weights.map((weight, i) => {
      const values = draw(weight.shape[0] as number, 10 + i)
      const positive = weight.originalName.includes('variance')
      return tensorOf(
        positive ? values.map(value => Math.abs(value) + 0.5) : values,
        weight.shape as number[],
      )
    })
    layer.setWeights(weights)
  }
  return layers
}

function run(layer: tf.layers.Layer, x: tf.Tensor, training: boolean): tf.Tensor {
  return layer.apply(x, { training }) as tf.Tensor
}

/** Output, then derivatives of sum(y^2 cotangent) by x and by the trained weights. */
function valuesAndGradients(layer: tf.layers.Layer, x: tf.Tensor, training: boolean): Float32Array[] {
  const cotangent = drawTensor(x.shape, 99)
  const loss = (input: tf.Tensor) =>
    tf.sum(tf.mul(tf.square(run(layer, input, training)), cotangent)) as tf.Scalar
  const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
  const { grads } = tf.variableGrads(() => loss(x), variables)
  const tensors = [run(layer, x, training), tf.grad(loss)(x), ...variables.map(v => grads[v.name])]
  return tensors.map(tensor => (tensor as tf.Tensor).dataSync() as Float32Array)
}

const CASES: [string, BatchNormalizationOptions, number[]][] = [
  ['rank 2', {}, [16, 5]],
  ['rank 4', {}, [4, 3, 5, 6]],
  ['momentum 0.5, epsilon 0.1', { momentum: 0.5, epsilon: 0.1 }, [4, 3, 2, 6]],
  ['axis of channels by number', { axis: 3, momentum: 0 }, [4, 3, 2, 6]],
]
const OFF_THE_LAST_AXIS: (typeof CASES)[number] = ['axis 1, left to tfjs', { axis: 1 }, [4, 6, 3, 2]]

describe.each(CASES)("BatchNormalization equals tfjs's own: %s", (_name, options, shape) => {
  it.each([true, false])('outputs and gradients, training %s', training => {
    const [ours, theirs] = pairOf(options, shape)
    const x = tf.add(tf.mul(drawTensor(shape, 1), 3), 1)
    const expected = valuesAndGradients(theirs, x, training)
    const actual = valuesAndGradients(ours, x, training)
    expect(actual.length).toBe(4)
    actual.forEach((values, i) => {
      expectAllClose(values, expected[i] as Float32Array, 1e-3, 1e-3)
    })
  })
})

describe.each([...CASES, OFF_THE_LAST_AXIS])(
  "BatchNormalization follows tfjs's own: %s",
  (_, options, shape) => {
    it('through three steps of training and one of inference', () => {
      const [ours, theirs] = pairOf(options, shape)
      const before = ours.getWeights().map(weight => Array.from(weight.dataSync()))
      for (let step = 0; step < 3; step++) {
        const x = tf.add(drawTensor(shape, 20 + step), step)
        expectAllClose(run(ours, x, true).dataSync(), run(theirs, x, true).dataSync(), 1e-3, 1e-4)
      }
      const x = drawTensor(shape, 30)
      expectAllClose(run(ours, x, false).dataSync(), run(theirs, x, false).dataSync(), 1e-3, 1e-4)
      const [after, expected] = [ours, theirs].map(layer =>
        layer.getWeights().map(weight => weight.dataSync()),
      )
      after?.forEach((values, i) => {
        expectAllClose(values, expected?.[i] as Float32Array, 1e-4, 1e-5)
      })
      expect(Array.from(after?.[0] as Float32Array)).toEqual(before[0])
      expect(Array.from(after?.[2] as Float32Array)).not.toEqual(before[2])
      expect(Array.from(after?.[3] as Float32Array)).not.toEqual(before[3])
    })
  },
)

describe('BatchNormalization', () => {
  it('averages the biased variance', () => {
    // Values 1, 3, 5, 7: mean 4, variance (9 + 1 + 1 + 9) / 4 = 5. Averages start at 0 and 1:
    // 0.9 0 + 0.1 4 = 0.4 and 0.9 1 + 0.1 5 = 1.4.
    const layer = batchNormalization({ momentum: 0.9 })
    run(layer, tf.tensor2d([1, 3, 5, 7], [4, 1]), true)
    const [, , mean, variance] = layer.getWeights().map(weight => weight.dataSync()[0])
    expectAllClose([mean as number, variance as number], [0.4, 1.4])
  })

  it.each([{ scale: false }, { center: false }, { scale: false, center: false }])(
    'in inference with %j equals that of tfjs',
    options => {
      const [ours, theirs] = pairOf(options, [4, 6])
      const x = drawTensor([4, 6], 1)
      expect(Array.from(run(ours, x, false).dataSync())).toEqual(Array.from(run(theirs, x, false).dataSync()))
    },
  )

  describe.each([{ scale: false }, { center: false }, { scale: false, center: false }])(
    'with %j',
    options => {
      it.each([
        [-1, [4, 3, 5, 6]],
        [1, [4, 6, 3, 5]],
        [2, [4, 3, 6]],
        [-1, [16, 5]],
      ])('trains as with fixed ones and zeros, axis %i of %o', (axis, shape) => {
        const channels = shape.at(axis) as number
        const axes = [...shape.keys()]
        const last = axes.filter(other => other !== axis % shape.length)
        const order = axis === -1 ? axes : [...last, axis]
        const back = axes.map(other => order.indexOf(other))
        const [ours] = pairOf({ ...options, axis, momentum: 0.7 }, shape)
        const whole = batchNormalization({ momentum: 0.7 })
        whole.build([null, ...order.slice(1).map(other => shape[other] as number)])
        const own = new Map(ours.weights.map(weight => [weight.originalName, tf.clone(weight.read())]))
        const { gamma = tf.ones([channels]), beta = tf.zeros([channels]) } = Object.fromEntries(own)
        whole.setWeights([gamma, beta, own.get('moving_mean')!, own.get('moving_variance')!])
        const x = tf.add(drawTensor(shape, 1), 2)
        const cotangent = drawTensor(shape, 99)
        const inOrder = (input: tf.Tensor) => tf.transpose(run(whole, tf.transpose(input, order), true), back)
        const results = [(input: tf.Tensor) => run(ours, input, true), inOrder].map((forward, i) => {
          const loss = (input: tf.Tensor) => tf.sum(tf.mul(tf.square(forward(input)), cotangent)) as tf.Scalar
          const variables = (i === 0 ? ours : whole).trainableWeights.map(
            weight => weight.read() as tf.Variable,
          )
          // Both run as often, also where nothing is trained: the moving averages are compared.
          const none = variables.length === 0 && loss(x)
          const grads = none ? {} : tf.variableGrads(() => loss(x), variables).grads
          return { y: forward(x), dx: tf.grad(loss)(x), dWeights: variables.map(({ name }) => grads[name]!) }
        })
        const [actual, expected] = results as [(typeof results)[number], (typeof results)[number]]
        expectAllClose(actual.y.dataSync(), expected.y.dataSync(), 1e-4, 1e-4)
        expectAllClose(actual.dx.dataSync(), expected.dx.dataSync(), 1e-3, 1e-3)
        const there = expected.dWeights.filter((_, i) => !(['scale', 'center'][i]! in options))
        expect(actual.dWeights.length).toBe(there.length)
        actual.dWeights.forEach((gradient, i) => {
          expectAllClose(gradient.dataSync(), there[i]!.dataSync(), 1e-3, 1e-3)
        })
        const moving = (layer: tf.layers.Layer) => layer.getWeights().slice(-2)
        moving(ours).forEach((average, i) => {
          expectAllClose(average.dataSync(), (moving(whole)[i] as tf.Tensor).dataSync(), 1e-4, 1e-4)
        })
      })

      it('frees what it holds in the place of weights', () => {
        const before = tf.memory().numTensors
        const layer = batchNormalization(options)
        tf.dispose(
          run(
            layer,
            tf.tidy(() => tf.keep(tf.ones([2, 3]))),
            true,
          ),
        )
        layer.dispose()
        // The input stays.
        expect(tf.memory().numTensors).toBe(before + 1)
      })
    },
  )

  it('has the class name, configuration and weight names of tfjs', () => {
    const options: BatchNormalizationOptions = {
      name: 'norm',
      momentum: 0.8,
      epsilon: 0.01,
      gammaInitializer: 'randomNormal',
      betaRegularizer: 'l1l2',
      trainable: false,
    }
    const [ours, theirs] = pairOf(options, [2, 3])
    expect(ours.getClassName()).toBe('BatchNormalization')
    expect(theirs.getClassName()).toBe('BatchNormalization')
    expect(ours.getConfig()).toEqual(theirs.getConfig())
    const names = (layer: tf.layers.Layer) => layer.weights.map(weight => weight.originalName)
    expect(names(ours)).toEqual(names(theirs))
    expect(names(ours)).toEqual(['gamma', 'beta', 'moving_mean', 'moving_variance'])
  })

  it('can be saved and loaded as a layer of tfjs, weights and predictions unchanged', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ units: 4, inputShape: [3] }),
        batchNormalization({ momentum: 0.5 }),
        tf.layers.dense({ units: 1 }),
      ],
    })
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' })
    await model.fit(drawTensor([8, 3], 1), drawTensor([8, 1], 2), { epochs: 2, verbose: 0 })
    let artifacts: tf.io.ModelArtifacts = {}
    const handler = tf.io.withSaveHandler(async saved => {
      artifacts = saved
      return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(saved) }
    })
    await model.save(handler)
    const loaded = await tf.loadLayersModel(tf.io.fromMemory(artifacts))
    const plain = tf.layers.batchNormalization().constructor
    expect(model.layers[1]).toBeInstanceOf(BatchNormalization)
    expect(loaded.layers[1]?.constructor).toBe(plain)
    const x = drawTensor([5, 3], 3)
    const [before, after] = [model, loaded].map(m => Array.from((m.predict(x) as tf.Tensor).dataSync()))
    expect(after).toEqual(before)
  })

  it('leaves no tensor behind', () => {
    const [ours] = pairOf({}, [4, 6])
    const x = drawTensor([4, 6], 1)
    const step = () => tf.tidy(() => tf.grad(input => tf.sum(tf.square(run(ours, input, true))))(x)).dispose()
    step()
    const { numTensors } = tf.memory()
    step()
    expect(tf.memory().numTensors).toBe(numTensors)
  })
})

describe('moveTowards', () => {
  it('keeps the share `momentum` of the average', () => {
    const layer = tf.layers.batchNormalization()
    layer.build([null, 2])
    const average = layer.weights[2] as tf.LayerVariable
    average.write(tf.tensor1d([10, 20]))
    moveTowards([[average, tf.tensor1d([20, 0])]], 0.75)
    expectAllClose(average.read().dataSync(), [12.5, 15])
  })
})

describe('the op table', () => {
  const inputs = (): BatchNormInputs => ({
    x: drawTensor([6, 3], 1),
    gamma: drawTensor([3], 2),
    beta: drawTensor([3], 3),
    epsilon: 0.01,
    onMoments: () => {},
  })

  it('calls what the current backend registered, and the composed form elsewhere', async () => {
    const current = tf.getBackend()
    const own = layerOps().batchNorm
    const calls: number[][] = []
    const counted = (given: BatchNormInputs): tf.Tensor => {
      calls.push(given.x.shape)
      return own(given)
    }
    registerLayerOps('some other backend', {
      batchNorm: () => {
        throw new Error('not this backend')
      },
    })
    try {
      registerLayerOps(current, { batchNorm: counted })
      registerLayerOps(current, {})
      expect(layerOps().batchNorm).toBe(counted)
      run(batchNormalization(), drawTensor([2, 3, 4, 5], 1), true)
      expect(calls).toEqual([[2, 3, 4, 5]])
      run(batchNormalization(), drawTensor([2, 3, 4, 5], 1), false)
      run(batchNormalization({ axis: 1 }), drawTensor([2, 3, 4, 5], 1), true)
      expect(calls.length).toBe(1)
      await tf.setBackend('cpu')
      expect(layerOps().batchNorm).toBe(composedOps.batchNorm)
    } finally {
      await tf.setBackend(current)
      registerLayerOps(current, { batchNorm: own })
    }
    expect(layerOps().batchNorm).toBe(own)
  })

  it('has a composed form that shows the biased moments and equals the definition', () => {
    const given = inputs()
    const seen: Float32Array[] = []
    const y = composedOps.batchNorm({
      ...given,
      onMoments: ({ mean, variance }) =>
        seen.push(mean.dataSync() as Float32Array, variance.dataSync() as Float32Array),
    })
    const rows = given.x.arraySync() as number[][]
    const mean = [0, 1, 2].map(c => rows.reduce((sum, row) => sum + row[c]!, 0) / 6)
    const variance = [0, 1, 2].map(c => rows.reduce((sum, row) => sum + (row[c]! - mean[c]!) ** 2, 0) / 6)
    expectAllClose(
      seen.flatMap(values => [...values]),
      [...mean, ...variance],
    )
    const [gamma, beta] = [given.gamma.arraySync(), given.beta.arraySync()]
    expectAllClose(
      y.dataSync(),
      rows.flatMap(row =>
        row.map((value, c) => ((value - mean[c]!) / Math.sqrt(variance[c]! + 0.01)) * gamma[c]! + beta[c]!),
      ),
    )
  })

  it('gives the current backend a form that equals the composed one, values and gradients', () => {
    const given = inputs()
    const cotangent = drawTensor([6, 3], 4)
    const all = (op: typeof composedOps.batchNorm) => {
      const f = (x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) =>
        tf.sum(
          tf.mul(
            op({
              ...given,
              x: x as tf.Tensor2D,
              gamma: gamma as tf.Tensor1D,
              beta: beta as tf.Tensor1D,
            }),
            cotangent,
          ),
        )
      const { value, grads } = tf.valueAndGrads(f)([given.x, given.gamma, given.beta])
      return [value, ...grads].map(tensor => Array.from(tensor.dataSync()))
    }
    expectAllClose(all(layerOps().batchNorm), all(composedOps.batchNorm), 1e-4, 1e-4)
  })
})
