import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { routedModel } from '../../src/models/routed-model.js'
import { smallExpert } from '../../src/models/small-expert.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(() => useTestBackend())

const shape = [40, 24, 2] as const

describe('smallExpert', () => {
  it('halves the patch in every convolution, from 12 channels to 48', () => {
    const filters = [12, 12, 12, 24, 24, 48]
    const expert = smallExpert(shape, 1, { expertLayers: 6 })
    const maps = expert.layers
      .filter(({ name }) => name.startsWith('conv'))
      .map(({ outputShape }) => outputShape)
    expect(maps).toEqual(
      filters.map((channels, i) => [
        null,
        Math.ceil(40 / 2 ** (i + 1)),
        Math.ceil(24 / 2 ** (i + 1)),
        channels,
      ]),
    )
    const channelsOf = (expertLayers: number) =>
      smallExpert(shape, 1, { expertLayers })
        .layers.filter(({ name }) => name.startsWith('conv'))
        .map(({ outputShape }) => outputShape.at(-1))
    expect([1, 2, 3, 4, 5].map(channelsOf)).toEqual([
      [12],
      [12, 48],
      [12, 24, 48],
      [12, 12, 24, 48],
      [12, 12, 24, 24, 48],
    ])
  })

  it('takes centred pixels as the plain network takes 4 x - 2', () => {
    const [plain, centred] = [smallExpert(shape, 2), smallExpert(shape, 2, { expertPixels: 'centred' })]
    const x = tf.randomUniform([2, ...shape], 0, 1, 'float32', 3)
    const expected = plain.predict(tf.sub(tf.mul(x, 4), 2)) as tf.Tensor
    expectAllClose((centred.predict(x) as tf.Tensor).dataSync(), expected.dataSync())
  })

  it('refuses what it does not have, with its numbers', () => {
    const base = { imageShape: [32, 32, 1], numClasses: 2, cellSize: 8, patchesPerExpert: 2 } as const
    expect(() => routedModel({ ...base, expertLayers: 9 })).toThrow(
      new RangeError('routedModel: expertLayers must be an integer in [1, 8], got 9'),
    )
    expect(() => routedModel({ ...base, expertPixels: 'grey' as never })).toThrow(
      new RangeError('routedModel: expertPixels must be zero-to-one or centred, got grey'),
    )
    const expert = (patch: readonly number[]) => smallExpert(patch, 1)
    expect(() => routedModel({ ...base, expert, expertLayers: 3 })).toThrow(
      new TypeError('routedModel: expertLayers must be left out with an expert of its own, got both'),
    )
  })
})
