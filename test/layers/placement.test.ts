import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { exportOnnx } from '../../src/export/onnx/onnx.js'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { type PatchMoE, patchMoE } from '../../src/layers/moe/patch-moe.js'
import { placementOf } from '../../src/layers/moe/placement.js'
import { twoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { modelCost } from '../../src/models/cost.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { runOnnx } from '../export/run-onnx.js'
import { applied, fillWeights, uniform } from '../models/example-models.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

type Options = Parameters<typeof patchMoE>[0]

const settings: Options = {
  numExperts: 2,
  patchesPerExpert: 3,
  patchSize: 2,
  filters: 4,
  kernelSize: 3,
  useBias: true,
  preActivation: 'batch-norm-relu',
  gate: 'softmax-all',
  name: 'experts',
}

/** Two experts of two channels side by side, and the same at channels 6, 7 and 2, 3 of ten. */
const CHANNELS = [6, 7, 2, 3]

function modelOf(options: Partial<Options> = {}): tf.LayersModel {
  const image = tf.input({ shape: [4, 6, 3] })
  return fillWeights(
    tf.model({ inputs: image, outputs: applied(patchMoE({ ...settings, ...options }), image) }),
  )
}

const placed = () => modelOf({ filters: 10, channelsOf: CHANNELS })

/** (B,H,W,4) -> (B,H,W,10), with channels where the placed experts have them. */
function spread(map: tf.Tensor): tf.Tensor {
  const matrix = new Float32Array(40)
  for (const [channel, place] of CHANNELS.entries()) matrix[channel * 10 + place] = 1
  const rows = tf.matMul(tf.reshape(map, [-1, 4]), tf.tensor2d(matrix, [4, 10]))
  return tf.reshape(rows, [...map.shape.slice(0, 3), 10])
}

describe('PatchMoE with experts that own some of the channels', () => {
  it('puts the outputs of its experts at their channels, and 0 elsewhere', () => {
    const x = uniform([2, 4, 6, 3])
    const expected = spread(modelOf().predict(x) as tf.Tensor)
    expect([...(placed().predict(x) as tf.Tensor).dataSync()]).toEqual([...expected.dataSync()])
  })

  it.each([1, 2])('has the same gradients, patches of %i', patchSize => {
    const x = uniform([2, 4, 6, 3])
    const dy = uniform([2, 4, 6, 10], 5)
    const gradients = [modelOf({ patchSize }), modelOf({ patchSize, filters: 10, channelsOf: CHANNELS })].map(
      (model, i) => {
        const loss = (input: tf.Tensor) => {
          const y = model.apply(input, { training: true }) as tf.Tensor
          return tf.sum(tf.mul(i === 0 ? spread(y) : y, dy)) as tf.Scalar
        }
        const variables = model.trainableWeights.map(weight => weight.read() as tf.Variable)
        const { grads } = tf.variableGrads(() => loss(x), variables)
        return [tf.grad(loss)(x), ...variables.map(({ name }) => grads[name] as tf.Tensor)]
      },
    )
    const [expected, actual] = gradients as [tf.Tensor[], tf.Tensor[]]
    expect(actual).toHaveLength(expected.length)
    for (const [i, gradient] of actual.entries())
      expectAllClose(gradient.dataSync(), (expected[i] as tf.Tensor).dataSync())
  })

  it('costs what its experts cost', () => {
    const [together, apart] = [modelCost(modelOf()), modelCost(placed())]
    expect(apart.parameters).toEqual(together.parameters)
    expect(apart.multiplyAdds).toEqual(together.multiplyAdds)
  })

  it('goes through a configuration and back', () => {
    const layer = placed().getLayer('experts') as unknown as PatchMoE
    const stored = JSON.parse(JSON.stringify(layer.getConfig()))
    expect(stored).toMatchObject({ channelsOf: CHANNELS, filters: 10 })
    expect(patchMoE(stored).getConfig()).toEqual(layer.getConfig())
    const plain = patchMoE({ ...settings, channelsOf: [0, 1, 2, 3] }).getConfig()
    expect(plain).not.toHaveProperty('channelsOf')
  })

  it.each([CHANNELS, [2, 3, 0, 1]])('is exported as it computes, channels %j', async (...channelsOf) => {
    const image = tf.input({ shape: [4, 6, 3] })
    const experts = patchMoE({ ...settings, filters: Math.max(...channelsOf) + 1, channelsOf })
    const map = applied(experts, image)
    const pooled = applied(tf.layers.globalAveragePooling2d({}), map)
    const model = fillWeights(
      tf.model({ inputs: image, outputs: applied(tf.layers.dense({ units: 3 }), pooled) }),
    )
    const x = uniform([2, 4, 6, 3])
    const outputs = await runOnnx((await exportOnnx(model)).bytes, { [model.inputNames[0] as string]: x })
    expectAllClose(Object.values(outputs)[0]?.data ?? [], (model.predict(x) as tf.Tensor).dataSync())
  })

  it.each([
    [[0, 1, 1, 2], 'overlapping'],
    [[1, 2, 4, 5], 'off their multiples'],
    [[0, 1, 2], 'of uneven number'],
    [[0, 2, 4, 6], 'with gaps'],
    [[0, 1, 10, 11], 'past the map'],
    [[0, 1, -2, -1], 'below 0'],
    [[], 'none'],
  ])('refuses channels %j (%s)', channelsOf => {
    expect(() => patchMoE({ ...settings, filters: 10, channelsOf })).toThrow(
      "PatchMoE: channelsOf must be channels of the map's 10, for each of 2 experts as many consecutive ones (F, from a " +
        `multiple of F on), got ${JSON.stringify(channelsOf)}`,
    )
  })

  it('reads where experts lie', () => {
    expect(placementOf(CHANNELS, 2, 10, 'T')).toEqual({ size: 2, slots: 5, slotOf: [3, 1] })
  })
})

describe('expertNames', () => {
  const layers = {
    PatchMoE: (expertNames?: string[]) => patchMoE({ ...settings, ...(expertNames && { expertNames }) }),
    TwoLayerExperts: (expertNames?: string[]) =>
      twoLayerExperts({
        numExperts: 2,
        patchesPerExpert: 2,
        patchSize: 2,
        hiddenUnits: 4,
        outputs: 1,
        ...(expertNames && { expertNames }),
      }),
  }

  it.each(Object.entries(layers))('of %s are numbers unless given', (_, layer) => {
    expect(layer().expertNames).toEqual(['0', '1'])
    expect(layer().getConfig()).not.toHaveProperty('expertNames')
    expect(layer(['0', '1']).getConfig()).not.toHaveProperty('expertNames')
    expect(layer(['0', '3']).getConfig()).toMatchObject({ expertNames: ['0', '3'] })
  })

  it.each(Object.entries(layers))('of %s must be different names, one an expert', (name, layer) => {
    for (const names of [
      ['0'],
      ['a', 'a'],
      ['a', ''],
      ['a', 1] as unknown as string[],
      'ab' as unknown as string[],
    ])
      expect(() => layer(names)).toThrow(
        `${name}: expertNames must be 2 different names, one for each expert, got ${JSON.stringify(names)}`,
      )
  })

  it('of a PatchGate is one', () => {
    const gate = (expertNames?: string[]) =>
      patchGate({ patchSize: 2, patchesPerExpert: 1, ...(expertNames && { expertNames }) })
    expect(gate().getConfig()).not.toHaveProperty('expertNames')
    expect(gate(['5']).getConfig()).toMatchObject({ expertNames: ['5'] })
    expect(() => gate(['1', '2'])).toThrow(
      'PatchGate: expertNames must be 1 different names, one for each expert, got ["1","2"]',
    )
  })
})

describe('TwoLayerExperts.contributions', () => {
  it('adds up to what the layer computes', () => {
    const layer = twoLayerExperts({
      numExperts: 3,
      patchesPerExpert: 2,
      patchSize: 2,
      hiddenUnits: 6,
      outputs: 2,
    })
    const image = tf.input({ shape: [4, 6, 3] })
    const model = fillWeights(tf.model({ inputs: image, outputs: applied(layer, image) }))
    const x = uniform([4, 4, 6, 3]) as tf.Tensor4D
    const contributions = layer.contributions(x)
    expect(contributions.shape).toEqual([4, 3, 2])
    expectAllClose(tf.sum(contributions, 1).dataSync(), (model.predict(x) as tf.Tensor).dataSync())
    // Neurons of expert 1 alone: the head's rows of the others are 0.
    const [router, kernel, head] = layer.getWeights() as [tf.Tensor, tf.Tensor, tf.Tensor]
    layer.setWeights([router, kernel, tf.mul(head, tf.tensor2d([0, 0, 1, 1, 0, 0], [6, 1]))])
    const alone = (model.predict(x) as tf.Tensor).dataSync()
    expectAllClose(tf.squeeze(tf.slice(contributions, [0, 1, 0], [4, 1, 2]), [1]).dataSync(), alone)
  })
})
