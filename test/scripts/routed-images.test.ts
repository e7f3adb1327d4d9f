import type * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, test } from 'vitest'
import { routedImages } from '../../scripts/run/routed-images.js'
import type { ImageSet } from '../../src/data/image-set.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightPatch, twoLayer } from '../explain/bright-patches.js'

beforeAll(async () => {
  await useTestBackend()
})

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
  const boxed = await routedImages(
    twoLayer(2, 1),
    { ...set, objectBox: Int32Array.of(2, 1, 2, 3, 0, 0, 2, 2) },
    12,
  )
  expect(boxed.map(({ truth }) => truth)).toEqual([
    { box: { x: 1, y: 2, width: 3, height: 2 } },
    { box: { x: 0, y: 0, width: 2, height: 2 } },
  ])
  const { default: sharp } = await import('sharp')
  const png = Buffer.from(shown[0]!.uri.replace('data:image/png;base64,', ''), 'base64')
  const { data } = await sharp(png).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true })
  expect([...data]).toEqual([...brightPatch(3)])
  for (const { probability } of shown) expect(probability >= 0.5 && probability <= 1).toBe(true)
  expect(await routedImages(twoLayer(1, 4), set, 12)).toEqual([])
  const [grey] = await routedImages(
    twoChannelModel(),
    { ...set, images: Uint8Array.from({ length: 32 }, (_, i) => 8 * i), count: 1, shape: [4, 4, 2] },
    1,
  )
  expect(grey?.size).toEqual([8, 8])
  const sideBySide = Buffer.from(grey!.uri.replace('data:image/png;base64,', ''), 'base64')
  const shownPixels = await sharp(sideBySide).toColourspace('b-w').raw().toBuffer()
  // Each row of four positions by two channels twice.
  const rows = Array.from({ length: 8 }, (_, row) => Math.floor(row / 2))
  const values = rows.flatMap(row => Array.from({ length: 8 }, (_, i) => 8 * (8 * row + i)))
  expect([...shownPixels]).toEqual(values)
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
