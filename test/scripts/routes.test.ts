import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, test } from 'vitest'
import { routedImages } from '../../scripts/run/routed-images.js'
import { routesOf } from '../../scripts/run/routes.js'
import type { ImageSet } from '../../src/data/image-set.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

/** 4x4 images of one channel; all of one image's light is in one 2x2 patch. */
function brightPatch(patch: number): Uint8Array {
  const image = new Uint8Array(16)
  const [top, left] = [Math.floor(patch / 2) * 2, (patch % 2) * 2]
  for (const [y, x] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ] as const)
    image[(top + y) * 4 + left + x] = 255
  return image
}

function twoLayer(numExperts: number, patchesPerExpert: number): tf.LayersModel {
  const options = {
    inputShape: [4, 4, 1],
    patchSize: 2,
    hiddenUnits: 4,
    numClasses: 2,
    normalizer: 'selected',
  } as const
  return twoLayerPatchModel({ ...options, numExperts, patchesPerExpert, gate: 'softmax-selected', seed: 1 })
}

test('an expert whose router likes light keeps the bright patch first, one that dislikes it keeps dark ones', async () => {
  const model = twoLayer(2, 1)
  const router = model.weights.find(({ originalName }) => originalName.endsWith('router'))!
  // (2, 2, 1, 2): the first expert scores the sum of its patch, the second its negative.
  router.write(tf.tensor4d([1, -1, 1, -1, 1, -1, 1, -1], [2, 2, 1, 2]))
  const images = Uint8Array.from([...brightPatch(3), ...brightPatch(0)])
  const before = tf.memory().numTensors
  const routes = await routesOf(model, images, [4, 4, 1])
  expect(tf.memory().numTensors).toBe(before)
  expect(routes?.grid).toEqual([2, 2])
  expect(routes?.patchesPerExpert).toBe(1)
  expect(routes?.images.map(experts => experts.map(({ patches }) => patches))).toEqual([
    [[3], [0]],
    [[0], [1]],
  ])
  expect(routes?.images[0]?.[0]?.gates[0]).toBeCloseTo(1, 6)
})

test('a model that keeps every patch has no routes', async () => {
  expect(await routesOf(twoLayer(1, 4), brightPatch(0), [4, 4, 1])).toBeUndefined()
  const dense = wideResNet({ inputShape: [8, 8, 1], numClasses: 2, widenFactor: 1 })
  expect(await routesOf(dense, new Uint8Array(64), [8, 8, 1])).toBeUndefined()
})

test.each(['sparse', 'drop-in', 'authors'] as const)(
  'every expert of a %s network is asked, inside the network',
  async variant => {
    const model = wideResNet({
      inputShape: [16, 16, 1],
      numClasses: 2,
      widenFactor: 1,
      variant,
      pmoe: { numExperts: 2, patchesPerExpert: 3, patchSize: 1 },
    })
    const routes = await routesOf(
      model,
      new Uint8Array(2 * 256).map((_, i) => i % 251),
      [16, 16, 1],
    )
    expect(routes?.grid).toEqual([4, 4])
    for (const experts of routes!.images) {
      expect(experts).toHaveLength(2)
      for (const { patches, gates } of experts) {
        expect(new Set(patches).size).toBe(3)
        expect(Math.min(...patches) >= 0 && Math.max(...patches) < 16).toBe(true)
        expect(gates.every(gate => gate > 0)).toBe(true)
      }
    }
  },
)

test('routed images carry pixels, classes, true cell and routes of each image', async () => {
  const set: ImageSet = {
    images: Uint8Array.from([...brightPatch(3), ...brightPatch(0)]),
    labels: Int32Array.of(1, 0),
    count: 2,
    shape: [4, 4, 1],
    classNames: ['zero', 'one'],
    cells: [2, 2],
    trueCell: Int32Array.of(3, 0),
  }
  const shown = await routedImages(twoLayer(2, 1), set, 12)
  expect(shown.map(({ trueClass, truth, size, grid }) => ({ trueClass, truth, size, grid }))).toEqual([
    { trueClass: 'one', truth: { cells: [2, 2], cell: 3 }, size: [4, 4], grid: [2, 2] },
    { trueClass: 'zero', truth: { cells: [2, 2], cell: 0 }, size: [4, 4], grid: [2, 2] },
  ])
  const { default: sharp } = await import('sharp')
  const png = Buffer.from(shown[0]!.uri.replace('data:image/png;base64,', ''), 'base64')
  const { data } = await sharp(png).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true })
  expect([...data]).toEqual([...brightPatch(3)])
  for (const { probability } of shown) expect(probability >= 0.5 && probability <= 1).toBe(true)
  expect(await routedImages(twoLayer(1, 4), set, 12)).toEqual([])
  await expect(
    routedImages(twoChannelModel(), { ...set, images: new Uint8Array(32), count: 1, shape: [4, 4, 2] }, 1),
  ).rejects.toThrow(new RangeError('pngUri: channels must be 1 or 3, got 2'))
})

function twoChannelModel(): tf.LayersModel {
  return twoLayerPatchModel({
    inputShape: [4, 4, 2],
    patchSize: 2,
    numExperts: 1,
    patchesPerExpert: 1,
    hiddenUnits: 2,
    numClasses: 2,
    gate: 'softmax-selected',
    normalizer: 'selected',
  })
}
