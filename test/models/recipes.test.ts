import { beforeAll, describe, expect, it } from 'vitest'
import { type ModelName, modelNames, paperExperiments, recipe } from '../../src/models/recipes.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(() => useTestBackend())

/** Image shape and classes of each dataset that has recipes. */
const datasets = {
  'digits-patches': { shape: [32, 32, 1], classes: 2 },
  'fashion-quadrants': { shape: [32, 32, 3], classes: 4 },
  cifar10: { shape: [32, 32, 3], classes: 10 },
  'cifar-vehicles': { shape: [32, 32, 3], classes: 4 },
  'fashion-noise': { shape: [32, 32, 3], classes: 4 },
  'fashion-mnist': { shape: [32, 32, 3], classes: 10 },
  'cifar10-noise': { shape: [32, 32, 3], classes: 10 },
  cifar100: { shape: [32, 32, 3], classes: 100 },
  'cifar100-coarse': { shape: [32, 32, 3], classes: 20 },
  'mnist-patches': { shape: [112, 112, 1], classes: 2 },
  'celeba-smiling': { shape: [64, 64, 3], classes: 2 },
  'celeba-spurious': { shape: [64, 64, 3], classes: 2 },
  'celeba-multiclass': { shape: [64, 64, 3], classes: 4 },
  tfds: { shape: [32, 32, 3], classes: 10 },
  'image-folder': { shape: [64, 64, 3], classes: 3 },
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

  it.each(Object.keys(datasets) as (keyof typeof datasets)[])('fits the images of %s', dataset => {
    const { shape, classes } = datasets[dataset]
    for (const name of modelNames) {
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
      /^recipe: dataset must be one of digits-patches, fashion-quadrants, .*, image-folder, got "mnist"$/,
    )
    expect(() => recipe('toString', 'wrn')).toThrow(RangeError)
    expect(() => recipe('cifar10', 'vit' as ModelName)).toThrow(
      'recipe: model must be one of wrn, wrn-pmoe, two-layer, two-layer-pmoe, got "vit"',
    )
  })
})

describe('paperExperiments', () => {
  it('divide the last map as the paper says: 16 patches of faces, 64 of objects', () => {
    for (const experiment of Object.values(paperExperiments)) {
      for (const { model } of Object.values(experiment.models)) {
        if (model.kind !== 'wide-resnet' || !('pmoe' in model) || !model.pmoe) continue
        const side = experiment.inputShape[0] / 4 / Number(model.pmoe.patchSize)
        expect([model.pmoe.numExperts, model.pmoe.patchesPerExpert, side ** 2]).toEqual(
          experiment.inputShape[0] === 64 ? [8, 2, 16] : [4, 16, 64],
        )
      }
    }
  })

  it('train wide networks by plain SGD 0.1, batch 128, 50 epochs, moving statistics of momentum 0.99', () => {
    for (const figure of ['fig10', 'fig11', 'fig12', 'fig14', 'fig15', 'fig16'] as const) {
      for (const { model, training } of Object.values(paperExperiments[figure].models)) {
        expect(training).toEqual({
          epochs: 50,
          batchSize: 128,
          optimizer: 'sgd',
          learningRate: 0.1,
          bnStatistics: 'moving',
        })
        expect(model).toMatchObject({ depth: 10, widenFactor: 10, batchNormMomentum: 0.99 })
      }
    }
  })

  it('give the two-layer models of figure 4 equal hidden units in 2x20, 8x5 and 1x40', () => {
    const { separate, joint, cnn } = paperExperiments.fig4.models
    const sizes = [separate, joint, cnn].map(({ model }) => [
      model.numExperts,
      model.hiddenUnits / model.numExperts,
      model.patchesPerExpert,
    ])
    expect(sizes).toEqual([
      [2, 20, 2],
      [8, 5, 6],
      [1, 40, 16],
    ])
    expect(joint.training).toMatchObject({ learningRate: 0.2, batchSize: 20, untilZeroTrainingError: true })
    expect(separate.training.routerEpochs).toBe(100)
  })
})
