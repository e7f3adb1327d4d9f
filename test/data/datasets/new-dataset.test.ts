import { beforeAll, describe, expect, it } from 'vitest'
import type { DatasetEntry } from '../../../src/data/datasets/dataset.js'
import { positionExperts, sgd } from '../../../src/data/datasets/dataset-recipe.js'
import { datasetEntry, datasets } from '../../../src/data/datasets/datasets.js'
import { recognise } from '../../../src/data/datasets/recognise.js'
import { fineTuningRecipe, recipe, suggestedMixture } from '../../../src/models/recipes.js'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { useTestBackend } from '../../backend-under-test.js'
import { memorySource } from '../memory-source.js'

beforeAll(async () => {
  await useTestBackend()
})

/** A dataset as somebody would add it: all that is said of it is in its entry. */
const stripes: DatasetEntry = {
  name: 'stripes',
  title: 'Stripes',
  source: 'folder',
  description: 'Grey images of 8x8 pixels.',
  licence: 'none needed',
  homepage: 'https://example.org',
  format: { title: 'a file of stripes', published: 'stripes', isIn: source => source.exists('stripes.bin') },
  recipe: {
    suggested: 'twoLayer',
    wide: {
      widenFactor: 3,
      mixture: { ...positionExperts, patchesPerExpert: 2 },
      training: sgd(40, 5, 8, 0.3),
    },
    twoLayer: {
      patchSize: 4,
      patches: 4,
      patchesPerExpert: 3,
      oneLogit: true,
      training: sgd(30, 7, 10, 0.2),
    },
  },
  async load(source) {
    const images = await source.read('stripes.bin')
    const half = {
      images,
      labels: Int32Array.of(0),
      count: 1,
      shape: [8, 8, 1],
      classNames: ['up', 'down'],
    } as const
    return { name: 'stripes', train: half, test: half }
  },
}
const table = [...datasets, stripes]
const source = memorySource({ 'stripes.bin': new Uint8Array(64) })

describe('a new dataset', () => {
  it('is found by its name, and listed where another is asked for', () => {
    expect(datasetEntry('stripes', table)).toBe(stripes)
    expect(() => datasetEntry('dots', table)).toThrow(/theory-clusters, stripes, got dots$/)
    expect(() => datasetEntry('stripes')).toThrow(/theory-clusters, got stripes$/)
  })

  it('is recognised by its files, those of a folder before those of the samples', async () => {
    const copy: DatasetEntry = { ...stripes, name: 'stripes-sample', source: 'samples' }
    expect(await recognise(source, [copy, ...table])).toEqual([
      { title: 'a file of stripes', datasets: ['stripes', 'stripes-sample'] },
    ])
    expect(await recognise(source)).toEqual([])
    expect(await recognise(memorySource({ 'dots.bin': new Uint8Array(1) }), table)).toEqual([])
  })

  it('has a recipe for each network, of numbers that its entry states', () => {
    const wide = recipe('stripes', 'wrn-pmoe', table)
    expect(wide).toMatchObject({
      model: { widenFactor: 3, pmoe: { numExperts: 4, patchesPerExpert: 2 } },
      training: { samples: 40, epochs: 5, batchSize: 8, learningRate: 0.3 },
    })
    expect(recipe('stripes', 'wrn', table).model).not.toHaveProperty('pmoe')
    expect(recipe('stripes', 'two-layer', table).model).toMatchObject({ numExperts: 1, patchesPerExpert: 4 })
    const mixture = recipe('stripes', 'two-layer-pmoe', table)
    expect(mixture).toMatchObject({
      model: { numExperts: 8, patchesPerExpert: 3, patchSize: 4, oneLogit: true },
      training: { samples: 30, epochs: 7 },
    })
    expect(fineTuningRecipe('stripes', table)).toEqual({ ...sgd(40, 10, 8, 0.3), learningRate: 0.3 / 10 })
    expect(suggestedMixture(stripes)).toBe('two-layer-pmoe')
    expect(() => recipe('stripes', 'wrn')).toThrow(/theory-clusters, got "stripes"$/)
  })

  it('has recipes that networks are built of', () => {
    const { model: wide } = recipe('stripes', 'wrn-pmoe', table)
    const { model: twoLayer } = recipe('stripes', 'two-layer-pmoe', table)
    if (wide.kind !== 'wide-resnet' || twoLayer.kind !== 'two-layer') throw new Error('wrong network')
    const input = { inputShape: [8, 8, 1], seed: 1 } as const
    const built = wideResNet({ ...wide, ...input, numClasses: 2 })
    expect(built.getLayer('patch_moe').getConfig()).toMatchObject({ numExperts: 4, patchesPerExpert: 2 })
    built.dispose()
    const layered = twoLayerPatchModel({ ...twoLayer, ...input, numClasses: 1 })
    expect(layered.outputs[0]?.shape).toEqual([null, 1])
    layered.dispose()
  })
})
