import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { modelCost } from '../../src/models/cost.js'
import { insertPatchMoE } from '../../src/models/insert-patch-moe.js'
import { type PlannedConvolution, planPatchMoE, savedShare } from '../../src/models/plan-patch-moe.js'
import { useTestBackend } from '../backend-under-test.js'
import { mobileNetLike, nestedModel, siameseModel, vggLike } from './example-models.js'
import { keep } from './kept-models.js'

beforeAll(async () => {
  await useTestBackend()
})

/** One convolution of an 8x8 map of 4 channels to 4 filters, as it is set. */
function single(settings: Partial<Parameters<typeof tf.layers.conv2d>[0]>): tf.LayersModel {
  const conv = tf.layers.conv2d({
    filters: 4,
    kernelSize: 3,
    padding: 'same',
    name: 'conv',
    inputShape: [8, 8, 4],
    ...settings,
  })
  return keep(tf.sequential({ layers: [conv] }))
}

const reasonOf = (model: tf.LayersModel, options = {}) => planPatchMoE(model, options).convolutions[0]?.reason

describe('planPatchMoE', () => {
  it('counts parameters and multiply-adds now and after', () => {
    const model = keep(vggLike())
    const { convolutions, chosen, parameters } = planPatchMoE(model, {
      numExperts: 4,
      patchSize: 2,
      patchesPerExpert: 4,
    })
    // conv4: 3x3 from 16 to 16 channels on 8x8; experts of 2x2 patches keep 4 of 16, routers see the whole map.
    expect(convolutions.find(({ path }) => path === 'conv4')).toEqual({
      path: 'conv4',
      className: 'Conv2D',
      map: [8, 8, 16],
      parameters: 9 * 16 * 16 + 16,
      multiplyAdds: 64 * 9 * 16 * 16,
      mixture: {
        numExperts: 4,
        patchSize: [2, 2],
        patches: 16,
        patchesPerExpert: 4,
        parameters: 9 * 16 * 16 + 16 + 4 * 16 * 4,
        multiplyAdds: 16 * 9 * 16 * 16 + 64 * 16 * 4,
      },
    })
    expect(chosen).toBe('conv4')
    expect(parameters).toBe(modelCost(model).parameters.total)
  })

  it('recommends what saves most, the last of equals, and nothing where mixtures take more', () => {
    const layers = [1, 2, 3].map(i =>
      tf.layers.conv2d({
        ...{ filters: 8, kernelSize: 3, padding: 'same', name: `conv${i}` },
        ...(i === 1 && { inputShape: [8, 8, 4] }),
      }),
    )
    const model = keep(tf.sequential({ layers }))
    // conv2 and conv3 are alike, conv1 has half the channels; with all patches, routers come on top.
    const plan = planPatchMoE(model)
    expect([plan.chosen, plan.best]).toEqual(['conv3', 'conv3'])
    expect(planPatchMoE(model, { patchesPerExpert: 64 }).best).toBeUndefined()
    const [conv1] = plan.convolutions as [PlannedConvolution]
    // 64 9 4 8 = 18432 before; 16 9 4 8 + 64 4 4 = 5632 after; of 18432 + 2 36864 = 92160
    expect(savedShare(conv1, plan.multiplyAdds)).toBe((18432 - 5632) / 92160)
    const { mixture: _, ...unfit } = conv1
    expect(savedShare(unfit, plan.multiplyAdds)).toBe(0)
  })

  it('counts every place of shared layers', async () => {
    const model = keep(siameseModel())
    const plan = planPatchMoE(model, { numExperts: 2, patchSize: 2, patchesPerExpert: 3 })
    const deep = plan.convolutions.find(({ path }) => path === 'tower/deep')
    expect(deep?.multiplyAdds).toBe(2 * 64 * 9 * 4 * 4)
    const { model: now } = await insertPatchMoE(model, { numExperts: 2, patchSize: 2, patchesPerExpert: 3 })
    keep(now)
    const [before, after] = [model, now].map(each => modelCost(each))
    expect((before?.multiplyAdds.forward ?? 0) - (after?.multiplyAdds.forward ?? 0)).toBe(
      (deep?.multiplyAdds ?? 0) - (deep?.mixture?.multiplyAdds ?? 0),
    )
    expect((after?.parameters.total ?? 0) - (before?.parameters.total ?? 0)).toBe(
      (deep?.mixture?.parameters ?? 0) - (deep?.parameters ?? 0),
    )
  })

  it('keeps a quarter of the patches unless told otherwise', () => {
    const { convolutions } = planPatchMoE(keep(nestedModel()))
    expect(
      convolutions.map(({ path, mixture }) => [path, mixture?.patches, mixture?.patchesPerExpert]),
    ).toEqual([['backbone/conv', 64, 16]])
  })

  it('says why a convolution cannot be replaced', () => {
    expect(reasonOf(single({ strides: 2 }))).toBe('its stride is 2x2, not 1')
    expect(reasonOf(single({ dilationRate: 2 }))).toBe('its dilation is 2x2, not 1')
    expect(reasonOf(single({ padding: 'valid' }))).toBe("its padding is 'valid', not 'same'")
    expect(reasonOf(single({ padding: 'valid', kernelSize: 1 }))).toBeUndefined()
    expect(reasonOf(single({ kernelSize: [3, 2] }))).toBe('its kernel 3x2 is not odd')
    expect(reasonOf(single({ dataFormat: 'channelsFirst', inputShape: [4, 8, 8] }))).toBe(
      'its channels come first',
    )
    expect(reasonOf(single({ inputShape: [1, 1, 4] }))).toBe('its map is a single pixel')
    expect(reasonOf(single({}), { numExperts: 3 })).toBe('3 experts do not divide its 4 filters (1, 2, 4 do)')
    expect(reasonOf(single({}), { patchSize: [3, 8] })).toBe(
      'patches of 3x8 do not divide its map 8x8 (1, 2, 4 do)',
    )
    expect(reasonOf(single({}), { patchesPerExpert: 65 })).toBe('it has 64 patches, fewer than 65')
    expect(
      planPatchMoE(keep(mobileNetLike())).convolutions.flatMap(({ path, reason }) =>
        reason ? [[path, reason]] : [],
      ),
    ).toEqual([
      ['conv1', 'its stride is 2x2, not 1'],
      ['block1_dw', 'its filters see one channel each'],
      ['block2_dw', 'its filters see one channel each'],
      ['predictions', 'its map is a single pixel'],
    ])
  })

  it('takes no activation that runs over all channels', () => {
    const settings = { inputShape: [4, 4, 3], filters: 4, kernelSize: 1 }
    for (const activation of ['softmax', 'logSoftmax', 'relu', 'softplus', undefined] as const) {
      const model = tf.sequential({
        layers: [
          tf.layers.conv2d({ ...settings, padding: 'same', name: 'body' }),
          tf.layers.conv2d({
            filters: 4,
            kernelSize: 1,
            name: 'mask',
            ...(activation && { activation: activation as 'softmax' }),
          }),
        ],
      })
      const { chosen, convolutions } = planPatchMoE(model)
      const across = activation === 'softmax' || activation === 'logSoftmax'
      expect(chosen).toBe(across ? 'body' : 'mask')
      expect(convolutions[1]?.reason).toBe(
        across
          ? `its activation ${activation} runs over all output channels, which experts share out among them`
          : undefined,
      )
      model.dispose()
    }
  })

  it('knows other convolutions, wrapped ones, and a layer on maps of two sizes', () => {
    const video = tf.input({ shape: [2, 8, 8, 4] })
    const wrapped = tf.layers.timeDistributed({
      layer: tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same' }),
      name: 'frames',
    })
    const [first] = planPatchMoE(
      keep(tf.model({ inputs: video, outputs: wrapped.apply(video) as tf.SymbolicTensor })),
    ).convolutions
    expect(first?.reason).toBe('it is applied by the wrapper TimeDistributed')
    const image = tf.input({ shape: [8, 8, 4] })
    const conv = tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', name: 'conv' })
    const small = tf.layers.maxPooling2d({ poolSize: 2 }).apply(conv.apply(image)) as tf.SymbolicTensor
    const up = tf.layers.conv2dTranspose({ filters: 2, kernelSize: 2, name: 'up' }).apply(conv.apply(small))
    const separable = tf.layers
      .separableConv2d({ filters: 2, kernelSize: 3, name: 'separable' })
      .apply(up as tf.SymbolicTensor)
    const reasons = planPatchMoE(
      keep(tf.model({ inputs: image, outputs: separable as tf.SymbolicTensor })),
    ).convolutions
    expect(reasons.map(({ path, reason }) => [path, reason])).toEqual([
      ['conv', 'it is shared by maps of different sizes (8x8, 4x4)'],
      ['up', 'it makes the map larger'],
      ['separable', 'its filters see one channel each, before a 1x1 convolution'],
    ])
  })

  it('refuses numbers that cannot be, and leaves nothing behind', () => {
    const model = keep(nestedModel())
    const before = tf.memory().numTensors
    expect(() => planPatchMoE(model, { numExperts: 0 })).toThrow(
      'planPatchMoE: numExperts must be a positive integer, got 0',
    )
    expect(() => planPatchMoE(model, { patchSize: 0.5 })).toThrow('planPatchMoE: patchSize must be')
    planPatchMoE(model)
    expect(tf.memory().numTensors).toBe(before)
  })
})
