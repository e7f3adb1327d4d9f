import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  readSafetensors,
  type StoredTensor,
  writeSafetensors,
} from '../../../src/data/formats/safetensors.js'
import { transposed } from '../../../src/export/graph/transposed.js'
import { loadWeights, modelWeights, namedWeights } from '../../../src/export/weights/weights.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'
import { networkCases, noise, tangled, trained } from '../exported-models.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const small = { inputShape: [8, 8, 3], numClasses: 2, widenFactor: 1 } as const

describe('weights through safetensors', () => {
  test.each(networkCases)(
    '$name: a model with other weights answers alike once it has them',
    async ({ build }) => {
      const model = trained(build(), 1)
      const twin = trained(build(), 2)
      const x = noise(model.inputs[0]?.shape ?? [], 2, 3)
      const y = (model.predict(x) as tf.Tensor).dataSync()
      const bytes = writeSafetensors(await modelWeights(model))
      loadWeights(twin, readSafetensors(bytes, 'file').tensors, 'file')
      expectAllClose((twin.predict(x) as tf.Tensor).dataSync(), y, 0, 0)
    },
  )

  test('have the names of layers and weights, nested ones after their model, shared ones once', () => {
    expect(namedWeights(tangled()).map(({ name }) => name)).toEqual([
      'trunk/conv/kernel',
      'trunk/conv/bias',
      'trunk/bn/gamma',
      'trunk/bn/beta',
      'trunk/bn/moving_mean',
      'trunk/bn/moving_variance',
      'shared/kernel',
      'shared/bias',
    ])
  })

  test('tell weights of one layer apart that are made of layers', () => {
    const model = tf.sequential({
      layers: [
        tf.layers.bidirectional({
          layer: tf.layers.gru({ units: 2 }) as tf.RNN,
          mergeMode: 'concat',
          inputShape: [3, 2],
          name: 'both',
        }),
      ],
    })
    const names = namedWeights(model).map(({ name }) => name)
    expect(new Set(names).size).toBe(6)
    expect(names.every(name => name.startsWith('both/'))).toBe(true)
  })

  test('take float64, and leave no tensors behind', async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2], name: 'd' })] })
    const before = tf.memory().numTensors
    await modelWeights(model)
    const tensors = new Map<string, StoredTensor>([
      ['d/kernel', { dtype: 'F64', shape: [2, 1], data: Float64Array.of(0.5, -2) }],
      ['d/bias', { dtype: 'F32', shape: [1], data: Float32Array.of(3) }],
    ])
    loadWeights(model, tensors, 'file')
    expect(tf.memory().numTensors).toBe(before)
    expect((model.predict(tf.tensor2d([[2, 1]])) as tf.Tensor).dataSync()[0]).toBe(2 * 0.5 - 2 + 3)
  })

  test('that do not fit name the tensor and both shapes, and change nothing', async () => {
    const model = trained(wideResNet(small))
    const other = await modelWeights(wideResNet({ ...small, numClasses: 3 }))
    const kernel = namedWeights(model)[0]?.variable.read().dataSync()
    expect(() => loadWeights(model, other, 'w.safetensors')).toThrow(
      'w.safetensors: tensor "logits/kernel" must have the shape [64, 2], got [64, 3]',
    )
    expect(namedWeights(model)[0]?.variable.read().dataSync()).toEqual(kernel)
  })

  test('that are missing or nobody knows are named', async () => {
    const model = wideResNet(small)
    const tensors = await modelWeights(model)
    const stem = tensors.get('stem/bias') as StoredTensor
    tensors.delete('stem/bias')
    tensors.set('stem/shift', stem)
    expect(() => loadWeights(model, tensors, 'w')).toThrow(
      `w: tensors must be the model's ${tensors.size} weights, got ${tensors.size} without "stem/bias" with unknown "stem/shift"`,
    )
    const none = new Map<string, StoredTensor>()
    expect(() => loadWeights(model, none, 'w')).toThrow(/got 0 without "stem\/kernel", .* and \d+ more$/)
  })
})

describe('transposed', () => {
  test('puts every number where tfjs puts it', () => {
    const shape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 })
    const order = shape.chain(sides =>
      fc
        .shuffledSubarray(
          sides.map((_, axis) => axis),
          { minLength: sides.length },
        )
        .map(axes => ({ sides, axes })),
    )
    fc.assert(
      fc.property(order, ({ sides, axes }) => {
        const size = sides.reduce((product, side) => product * side, 1)
        const data = Float32Array.from({ length: size }, (_, i) => i)
        const expected = tf.tidy(() => {
          const turned = tf.transpose(tf.tensor(data, sides), axes)
          return { data: [...turned.dataSync()], shape: turned.shape }
        })
        const own = transposed({ data, shape: sides }, axes)
        expect({ data: [...own.data], shape: own.shape }).toEqual(expected)
      }),
      { numRuns: 60, seed: 1 },
    )
  })
})
