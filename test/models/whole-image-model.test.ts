import { beforeAll, describe, expect, it } from 'vitest'
import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { modelCost } from '../../src/models/cost.js'
import { wholeImageModel } from '../../src/models/whole-image-model.js'

beforeAll(async () => {
  await useBackend((process.env.PMOE_TEST_BACKEND ?? 'wasm') as BackendName)
})

describe('wholeImageModel', () => {
  it('has the layers of an expert and the head of a routed model, on all of the image', () => {
    const imageShape = [64, 48, 3] as const
    const model = wholeImageModel({ imageShape, numClasses: 5, seed: 7 })
    const shapes = (weights: readonly { readonly shape: readonly (number | null)[] }[]) =>
      weights.map(({ shape }) => shape.join('x'))
    const own = shapes(model.weights)
    expect(own.slice(0, 6)).toEqual(['3x3x3x12', '12', '3x3x12x24', '24', '3x3x24x48', '48'])
    expect(own.slice(6)).toEqual(['48x5', '5'])
    const convolutions = modelCost(model).multiplyAdds.forward - 48 * 5
    // Maps of 32x24, 16x12 and 8x6.
    expect(convolutions).toBe(9 * (32 * 24 * 3 * 12 + 16 * 12 * 12 * 24 + 8 * 6 * 24 * 48))
    model.dispose()
  })

  it('has one logit for two classes told apart by its sign, else probabilities', () => {
    const one = wholeImageModel({ imageShape: [16, 16, 1], numClasses: 1 })
    const many = wholeImageModel({ imageShape: [16, 16, 1], numClasses: 4 })
    expect([one.outputs[0]?.shape, many.outputs[0]?.shape]).toEqual([
      [null, 1],
      [null, 4],
    ])
    one.dispose()
    many.dispose()
  })
})
