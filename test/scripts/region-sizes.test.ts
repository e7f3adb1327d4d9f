import { expect, test } from 'vitest'
import { fittedToRegions } from '../../scripts/run/fitted-run.js'
import { recipeRun } from '../../scripts/run/new-run.js'
import { expertLayersFor, patchOf, sizesFor } from '../../scripts/run/regions/region-sizes.js'

test.each<[[number, number], object, number | readonly [number, number], number]>([
  // 4000 / 32 = 125, the nearest power of two is 128.
  [[3000, 4000], {}, 128, 16],
  [[4000, 3000], {}, 128, 16],
  [[480, 640], {}, 16, 2],
  [[1536, 2048], {}, 64, 8],
  // 32 cells would be of 4 pixels, of 1024 pixels.
  [[130, 120], {}, 16, 2],
  [[32_768, 32_768], {}, 256, 32],
  [[3000, 4000], { cellSize: 60 }, 60, 4],
  [[3000, 4000], { cellSize: [96, 64] }, [96, 64], 8],
  [[3000, 4000], { cellSize: 7 }, 7, 1],
  [[3000, 4000], { viewScale: 8 }, 128, 8],
])(
  'images of %j with %j have cells of %j and a view at 1/%d',
  ([height, width], given, cellSize, viewScale) => {
    expect(sizesFor([height, width, 3], given)).toEqual({ cellSize, viewScale })
  },
)

test('experts have a convolution more whenever patches are twice as large', () => {
  const layers = [16, 48, 64, 65, 96, 135, 136, 192, 384].map(side => expertLayersFor([side, 8]))
  expect(layers).toEqual([undefined, undefined, undefined, 3, 4, 4, 5, 5, 6])
  expect(patchOf({ cellSize: [32, 48] })).toEqual([48, 64])
  expect(patchOf({ cellSize: 128, margin: 0 })).toEqual([128, 128])
})

const backend = { name: 'wasm' } as Parameters<typeof recipeRun>[1]
const photographs = { shape: [3000, 4000, 3] } as const

test('a run on photographs has what suits their size, as far as nothing else is asked for', () => {
  const run = recipeRun({ dataset: 'image-folder', model: 'routed', data: 'photos', flags: {} }, backend)
  const fitted = fittedToRegions(run, {}, photographs)
  expect(fitted.model.options).toMatchObject({
    ...{ cellSize: 128, viewScale: 16, expertLayers: 5, expertPixels: 'centred' },
  })
  expect(fitted.dataset.maxShift).toBe(64)
  expect(fitted.training.batchSize).toBe(8)
  const asked = fittedToRegions(run, { cellSize: 64 }, photographs)
  expect(asked.model.options).toMatchObject({ cellSize: 64, viewScale: 8, expertLayers: 4 })
  expect(asked.dataset.maxShift).toBe(32)
  const own = { ...run, dataset: { ...run.dataset, maxShift: 3 } }
  expect(fittedToRegions(own, { maxShift: 3 }, photographs).dataset.maxShift).toBe(3)
})

test('a run on images whose recipe says their cells keeps these', () => {
  const run = recipeRun({ dataset: 'megapixel-digits', model: 'routed', flags: {} }, backend)
  const fitted = fittedToRegions(run, {}, { shape: [128, 128, 1] })
  expect(fitted.model.options).toEqual({ ...run.model.options, cellSize: 8, viewScale: 2 })
  expect(fitted.dataset.maxShift).toBe(4)
})
