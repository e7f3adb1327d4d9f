import { beforeAll, describe, expect, it } from 'vitest'
import { datasetEntry, datasets } from '../../src/data/datasets/datasets.js'
import {
  fineTuningRecipe,
  type ModelName,
  modelsFor,
  recipe,
  suggestedMixture,
} from '../../src/models/recipes.js'
import { routedModel } from '../../src/models/routed-model.js'
import { sampleExpertsModel } from '../../src/models/sample-experts.js'
import { sampleMoEModel } from '../../src/models/sample-moe.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

/** Image shape and classes of each dataset. */
const images = {
  'digits-patches': { shape: [32, 32, 1], classes: 2 },
  'fashion-quadrants': { shape: [32, 32, 3], classes: 4 },
  cifar10: { shape: [32, 32, 3], classes: 10 },
  'cifar-vehicles': { shape: [32, 32, 3], classes: 4 },
  'fashion-noise': { shape: [32, 32, 3], classes: 4 },
  'fashion-mnist': { shape: [32, 32, 3], classes: 10 },
  'fashion-rotated': { shape: [32, 32, 3], classes: 10 },
  'cifar10-rotated': { shape: [32, 32, 3], classes: 10 },
  'cifar10-noise': { shape: [32, 32, 3], classes: 10 },
  cifar100: { shape: [32, 32, 3], classes: 100 },
  'cifar100-coarse': { shape: [32, 32, 3], classes: 20 },
  'mnist-patches': { shape: [112, 112, 1], classes: 2 },
  'celeba-smiling': { shape: [64, 64, 3], classes: 2 },
  'celeba-spurious': { shape: [64, 64, 3], classes: 2 },
  'celeba-multiclass': { shape: [64, 64, 3], classes: 4 },
  tfds: { shape: [32, 32, 3], classes: 10 },
  'image-folder': { shape: [64, 64, 3], classes: 3 },
  'megapixel-digits': { shape: [128, 128, 1], classes: 10 },
  'megapixel-fashion': { shape: [512, 512, 1], classes: 10 },
  'theory-patches': { shape: [32, 32, 1], classes: 2 },
  'theory-clusters': { shape: [4, 1, 50], classes: 2 },
} as const

describe('recipe', () => {
  it('gives the slim dense network and its sparse mixture on fashion-quadrants', () => {
    const { model, training } = recipe('fashion-quadrants', 'wrn-pmoe')
    expect(model).toMatchObject({ depth: 10, widenFactor: 1, variant: 'sparse' })
    expect(model).toMatchObject({ pmoe: { numExperts: 4, patchesPerExpert: 16, patchSize: 1 } })
    expect(training).toMatchObject({ optimizer: 'sgd', learningRate: 0.1, bnStatistics: 'recomputed' })
    expect(recipe('fashion-quadrants', 'wrn').model).not.toHaveProperty('pmoe')
  })

  it('gives the joint pMoE and its CNN of 40 hidden units on digits-patches', () => {
    const shared = { kind: 'two-layer', patchSize: 8, hiddenUnits: 40, oneLogit: true }
    expect(recipe('digits-patches', 'two-layer-pmoe').model).toMatchObject({
      ...shared,
      numExperts: 8,
      patchesPerExpert: 6,
      gate: 'softmax-selected',
    })
    // A CNN is one expert that keeps all 16 patches at gate 1.
    expect(recipe('digits-patches', 'two-layer').model).toMatchObject({
      ...shared,
      numExperts: 1,
      patchesPerExpert: 16,
      gate: 'uniform',
    })
  })

  it.each(datasets.map(({ name }) => name as keyof typeof images))('fits the images of %s', dataset => {
    const { shape, classes } = images[dataset]
    for (const name of modelsFor(datasetEntry(dataset))) {
      const { model, training } = recipe(dataset, name)
      expect(training.samples).toBeGreaterThanOrEqual(training.batchSize)
      if (model.kind === 'wide-resnet') {
        const built = wideResNet({
          ...model,
          inputShape: shape,
          numClasses: model.oneLogit ? 1 : classes,
          seed: 1,
        })
        expect(built.layers.some(layer => layer.name === 'patch_moe')).toBe(name === 'wrn-pmoe')
        built.dispose()
        continue
      }
      if (model.kind === 'sample-moe') {
        sampleMoEModel({ ...model, inputShape: shape, numClasses: classes, seed: 1 }).dispose()
        continue
      }
      if (model.kind === 'sample-networks') {
        sampleExpertsModel({ ...model, inputShape: shape, numClasses: classes, seed: 1 }).dispose()
        continue
      }
      if (model.kind === 'routed') {
        const { kind: _, ...network } = model
        // Images of the user's own are of any size: photographs for this network.
        const imageShape = dataset === 'image-folder' ? ([600, 800, 3] as const) : shape
        routedModel({ ...network, imageShape, numClasses: classes }).dispose()
        continue
      }
      twoLayerPatchModel({
        ...model,
        inputShape: shape,
        numClasses: model.oneLogit ? 1 : classes,
        seed: 1,
      }).dispose()
      const patches = (shape[0] / model.patchSize) * (shape[1] / model.patchSize)
      // The CNN keeps every patch; a mixture drops some, and weighs at least two by a softmax that can learn.
      if (name === 'two-layer') expect(model.patchesPerExpert).toBe(patches)
      else expect(model.patchesPerExpert).toBeGreaterThan(1)
      if (name === 'two-layer-pmoe') expect(model.patchesPerExpert).toBeLessThan(patches)
    }
  })

  it('names what it knows when asked for something else', () => {
    expect(() => recipe('mnist', 'wrn')).toThrow(
      /^recipe: dataset must be one of digits-patches, fashion-mnist, .*, theory-clusters, got "mnist"$/,
    )
    expect(() => recipe('toString', 'wrn')).toThrow(RangeError)
    expect(() => recipe('cifar10', 'vit' as ModelName)).toThrow(
      'recipe: model must be one of wrn, wrn-pmoe, two-layer, two-layer-pmoe, sample-moe, sample-single, sample-networks, routed, got "vit"',
    )
  })

  it('refuses networks that do not suit a dataset, and lists those that do, both ways', () => {
    for (const model of ['wrn', 'two-layer-pmoe'] as const) {
      expect(() => recipe('theory-clusters', model)).toThrow(
        new RegExp(
          `^recipe: model must be one of sample-moe, sample-single for dataset theory-clusters, got ${model} ` +
            '\\(which is for digits-patches, fashion-mnist, .*, theory-patches\\)$',
        ),
      )
    }
    for (const model of ['sample-moe', 'sample-single'] as const) {
      expect(() => recipe('cifar10', model)).toThrow(
        new RangeError(
          'recipe: model must be one of wrn, wrn-pmoe, two-layer, two-layer-pmoe, sample-networks for dataset cifar10, ' +
            `got ${model} (which is for theory-clusters)`,
        ),
      )
    }
  })

  it('gives eight experts and the single network of the theory on theory-clusters', () => {
    const full = { samples: 16_000, batchSize: 16_000, fullBatch: true, bnStatistics: 'moving' }
    expect(recipe('theory-clusters', 'sample-moe')).toEqual({
      model: {
        kind: 'sample-moe',
        patchSize: 1,
        numExperts: 8,
        filtersPerOutput: 8,
        activation: 'cubic',
        gate: 'softmax',
        initialScale: 1e-3,
      },
      training: {
        ...full,
        epochs: 501,
        optimizer: 'normalized-gd',
        learningRate: 1e-3,
        layerRates: [{ pattern: 'logits/router', learningRate: 0.1 }],
      },
    })
    expect(recipe('theory-clusters', 'sample-single')).toMatchObject({
      model: { numExperts: 1, filtersPerOutput: 40, gate: 'uniform', initialScale: 1 },
      training: { ...full, epochs: 801, optimizer: 'adam', learningRate: 1e-2, l2: 5e-4 },
    })
  })

  it('gives four networks and their published optimizer on images, as many and as long as suits the dataset', () => {
    expect(recipe('fashion-rotated', 'sample-networks')).toEqual({
      model: { kind: 'sample-networks', patchSize: 4, numExperts: 4, filters: 8, gate: 'softmax' },
      training: {
        samples: 2000,
        epochs: 30,
        batchSize: 32,
        optimizer: 'normalized-gd',
        learningRate: 1e-2,
        momentum: 0.9,
        layerRates: [{ pattern: 'experts/router*', learningRate: 1e-4 }],
        l2: 5e-4,
        loadBalance: 1e-2,
        bnStatistics: 'moving',
      },
    })
    expect(recipe('cifar10', 'sample-networks').training).toMatchObject({ samples: 10_000, epochs: 30 })
  })

  it('trains what was trained before as the suggested network of the dataset, without rates of its layers', () => {
    expect(fineTuningRecipe('theory-clusters')).toMatchObject({ epochs: 10, learningRate: 1e-3 / 10 })
    expect(fineTuningRecipe('theory-clusters')).not.toHaveProperty('layerRates')
  })

  it('suggests the network of the theory, which has a patch a window, for what is made of patches', () => {
    const twoLayer = datasets.filter(entry => suggestedMixture(entry) === 'two-layer-pmoe')
    expect(twoLayer.map(({ name }) => name)).toEqual(['digits-patches', 'mnist-patches', 'theory-patches'])
  })
})
