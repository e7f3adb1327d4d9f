import { describe, expect, test } from 'vitest'
import { fittedToClasses, fittedToPatches, withLoadedImages } from '../../scripts/run/fitted-run.js'
import { type RunRequest, recipeRun, wantedRun } from '../../scripts/run/new-run.js'
import { withSeparateRouters } from '../../scripts/run/separate-routers.js'
import { fittedToInitial, withAnnealing, withEnoughSteps } from '../../scripts/run/transfer/fine-tuning.js'
import type { BackendChoice } from '../../src/backend/choose.js'
import { datasetEntry } from '../../src/data/datasets/datasets.js'
import type { PlannedRun } from '../../src/run/run-config.js'
import type { RunModel } from '../../src/run/setting.js'

const backend: BackendChoice = { name: 'wasm', reason: 'it was asked for', skipped: [] }
const request = (model: RunModel, flags = {}, dataset = 'digits-patches'): RunRequest => ({
  dataset,
  model,
  flags,
  ...(model === 'init' && { init: { from: '/models/dense', imageSize: [48, 64] as const } }),
})

/** The run of a recipe with flags; steps that changed it in place would fail. */
function run(model: RunModel, flags = {}, dataset = 'digits-patches'): PlannedRun {
  const asked = request(model, flags, dataset)
  return frozen(wantedRun(asked, datasetEntry(dataset), backend))
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const part of Object.values(value)) frozen(part)
  return Object.freeze(value)
}

test('a recipe is a run of its own, with all that is not asked for', () => {
  const { versions, ...rest } = recipeRun(request('two-layer-pmoe'), backend)
  expect(versions).toMatchObject({ node: process.versions.node, tfjs: expect.any(String) })
  expect(rest).toEqual({
    dataset: { name: 'digits-patches', data: null, samples: 500, testSamples: null },
    model: {
      name: 'two-layer-pmoe',
      options: {
        ...{ kind: 'two-layer', patchSize: 8, numExperts: 8, patchesPerExpert: 6, hiddenUnits: 40 },
        ...{ gate: 'softmax-selected', normalizer: 'selected', oneLogit: true },
      },
    },
    training: {
      ...{ epochs: 100, batchSize: 20, optimizer: 'sgd', learningRate: 0.2, bnStatistics: 'recomputed' },
    },
    ...{ seed: 1, backend: 'wasm', precision: 'float32', memory: 'normal' },
  })
})

describe('with flags', () => {
  test('the run has their values, and keeps the rest of the recipe', () => {
    const recipe = recipeRun(request('wrn-pmoe'), backend)
    const flagged = run('wrn-pmoe', { seed: 7, lr: 0.5, experts: 2, gate: 'uniform' })
    expect(flagged).toEqual({
      ...recipe,
      seed: 7,
      training: { ...recipe.training, learningRate: 0.5 },
      model: {
        name: 'wrn-pmoe',
        options: {
          ...recipe.model.options,
          pmoe: { ...Reflect.get(recipe.model.options, 'pmoe'), numExperts: 2, gate: 'uniform' },
        },
      },
    })
  })

  test('a value that cannot be is refused before images are loaded', () => {
    expect(() => run('two-layer', { patchSize: [4, 2] })).toThrow(
      'train: --patch-size must be one number with model two-layer, got 4,2',
    )
    expect(() => run('wrn', { optimizer: 'lion' })).toThrow(
      'training.optimizer: Invalid option: expected one of "sgd"|"momentum"|"adam"',
    )
    expect(() => run('wrn', { gridSide: 3 }, 'fashion-mnist')).toThrow(
      /^--grid-side must be used with .*digits-patches.*, got dataset fashion-mnist$/,
    )
  })
})

describe('fitted to a network that was trained before', () => {
  const photos = { settings: ['imageSize'] } as const

  test('images have the size that it takes, unless another is asked for', () => {
    const initial = { from: '/models/one', imageSize: [48, 64] } as const
    const before = run('init')
    expect(fittedToInitial(before, initial, photos).dataset).toEqual({
      ...before.dataset,
      imageSize: [48, 64],
    })
    expect(fittedToInitial(before, initial, {})).toEqual(before)
    const asked = run('init', { imageSize: [32, 32] }, 'celeba-smiling')
    expect(fittedToInitial(asked, initial, photos).dataset.imageSize).toEqual([32, 32])
  })

  test('a mixture must have experts and the patches that they keep', () => {
    expect(() => run('init', { gate: 'uniform' })).toThrow(
      'train: --experts must be given with other flags of a mixture, got none (see pmoe plan)',
    )
    expect(() => run('init', { experts: 4 })).toThrow(
      'train: --patches-per-expert or --anneal-patches must be given with --experts, got neither (see pmoe plan)',
    )
  })
})

describe('fine-tuning on few images', () => {
  const given = { batchSize: 32, epochs: 10 }
  const lengthOf = (count: number, flags = {}, model: RunModel = 'init') => {
    const before = run(model, flags)
    const training = { ...before.training, ...given, ...flags }
    const { batchSize, epochs } = withEnoughSteps({ ...before, training }, flags, count).training
    return [batchSize, epochs]
  }

  test.each([
    // 9 steps an epoch: 34 epochs would be 300 steps.
    [130, {}, [16, 30]],
    // 16 steps of 20 images would be ten an epoch: 16 an epoch, 19 epochs.
    [250, {}, [16, 19]],
    [320, {}, [32, 30]],
    [500, {}, [32, 19]],
    [5000, {}, [32, 10]],
    [130, { batchSize: 32 }, [32, 30]],
    [130, { epochs: 2 }, [16, 2]],
    [3, {}, [16, 30]],
  ])('%i images, %j: batch size and epochs %j', (count, flags, expected) => {
    expect(lengthOf(count, flags)).toEqual(expected)
  })

  test('is no matter of models from scratch', () => {
    expect(lengthOf(130, {}, 'wrn')).toEqual([32, 10])
  })
})

test('another optimizer has nothing of what the recipe says for its own', () => {
  const recipe = run('wrn', {}, 'image-folder').training
  expect([recipe.optimizer, recipe.momentum]).toEqual(['momentum', 0.9])
  const other = run('wrn', { optimizer: 'adamw' }, 'image-folder').training
  expect(other.optimizer).toBe('adamw')
  expect(other).not.toHaveProperty('momentum')
  expect(run('wrn', { optimizer: 'adamw', momentum: 0.5 }, 'image-folder').training.momentum).toBe(0.5)
  expect(run('wrn', { optimizer: 'momentum' }, 'image-folder').training.momentum).toBe(0.9)
  expect(run('routed', { optimizer: 'normalized-gd' }, 'megapixel-digits').training).not.toHaveProperty(
    'clipNorm',
  )
  expect(run('routed', { optimizer: 'sgd' }, 'megapixel-digits').training.clipNorm).toBe(1)
})

test('annealed patches end in the number that the mixture names', () => {
  const annealPatches = { from: 64, to: 8, epochs: 2 }
  expect(run('wrn-pmoe', { annealPatches }).model.options).toMatchObject({ pmoe: { patchesPerExpert: 8 } })
  expect(run('init', { experts: 2, annealPatches }).model.options).toMatchObject({
    insert: { numExperts: 2, patchesPerExpert: 8 },
  })
  const both = { annealPatches, patchesPerExpert: 8 }
  expect(() => run('wrn-pmoe', both)).toThrow(
    'train: --patches-per-expert must be left out with --anneal-patches, got 8',
  )
  const without = run('wrn-pmoe')
  expect(withAnnealing(without, {})).toBe(without)
})

test('a run names the images that it found, and what they were prepared with', () => {
  const before = run('wrn')
  expect(withLoadedImages(before, { prepared: { gridSide: 3 } }, null).dataset).toEqual({
    ...before.dataset,
    samples: null,
    gridSide: 3,
  })
  expect(withLoadedImages(before, {}, 20).dataset).toEqual({ ...before.dataset, samples: 20 })
})

test('one logit is for two classes', () => {
  const before = run('two-layer-pmoe')
  expect(fittedToClasses(before, 2).model.options).toMatchObject({ oneLogit: true })
  expect(fittedToClasses(before, 3).model.options).not.toHaveProperty('oneLogit')
  const initial = run('init')
  expect(fittedToClasses(initial, 3)).toBe(initial)
})

test('two-layer models cut images into their cells, and the CNN keeps every patch', () => {
  const grid = { shape: [24, 24, 1], cells: [3, 3] } as const
  const sizes = (model: RunModel, flags = {}, images: Parameters<typeof fittedToPatches>[2] = grid) =>
    fittedToPatches(run(model, flags), flags, images).model.options
  expect(sizes('two-layer')).toMatchObject({ patchSize: 8, patchesPerExpert: 9 })
  expect(sizes('two-layer', { patchSize: 5 })).toMatchObject({ patchSize: 5, patchesPerExpert: 16 })
  expect(sizes('two-layer-pmoe')).toMatchObject({ patchSize: 8, patchesPerExpert: 6 })
  const plain = { shape: [32, 16, 1] } as const
  expect(sizes('two-layer', {}, plain)).toMatchObject({ patchSize: 8, patchesPerExpert: 8 })
  expect(sizes('wrn')).toEqual(run('wrn').model.options)
})

describe('separate routers', () => {
  const separately = (flags: object, classes: number) => {
    const given = { routerTraining: 'separate', ...flags }
    return withSeparateRouters(run('two-layer-pmoe', given), given, classes)
  }

  test('have an expert for each class, gates of 1, and the training of the experts unless told otherwise', () => {
    const { model, training } = separately({ batchSize: 10 }, 4)
    expect(model.options).toMatchObject({ numExperts: 4, gate: 'uniform', routerTrainable: false })
    expect(training).toMatchObject({ routerEpochs: 100, routerBatchSize: 10, routerLearningRate: 0.2 })
    const told = separately({ gate: 'softmax-all', routerEpochs: 3, routerLr: 0.4 }, 2)
    expect(told.model.options).toMatchObject({ numExperts: 2, gate: 'softmax-all' })
    expect(told.training).toMatchObject({ routerEpochs: 3, routerLearningRate: 0.4 })
  })

  test('need classes in pairs, as many experts, and to be asked for', () => {
    expect(() => separately({}, 3)).toThrow('with an even number of classes, as they are paired, got 3')
    expect(() => separately({ experts: 6 }, 4)).toThrow(
      'train: --experts must be the number of classes, 4, with --router-training separate, got 6',
    )
    for (const [flag, given] of [
      ['--router-epochs', { routerEpochs: 2 }],
      ['--router-batch-size', { routerBatchSize: 2 }],
      ['--router-lr', { routerLr: 2 }],
    ] as const) {
      expect(() => withSeparateRouters(run('two-layer-pmoe', given), given, 2)).toThrow(
        `train: ${flag} must come with --router-training separate, got joint training of the routers`,
      )
    }
    const joint = run('two-layer-pmoe')
    expect(withSeparateRouters(joint, {}, 3)).toBe(joint)
  })
})

test('a router is taught by boxes, and by nothing without them', () => {
  const { dataset, training } = run(
    'routed',
    { boxedImages: 20, teachEpochs: 5, prior: 'none' },
    'megapixel-digits',
  )
  expect([dataset.boxedImages, training.teachEpochs]).toEqual([20, 5])
  expect(() => run('routed', { teachEpochs: 5 }, 'megapixel-digits')).toThrow(
    'train: --teach-epochs must come with --teach-by, --boxes or --boxed-images, got none',
  )
  expect(() => run('routed', { teachBy: 'boxes' }, 'megapixel-digits')).toThrow(
    'train: --teach-by boxes must come with --boxes or --boxed-images, got neither',
  )
  expect(() => run('routed', { teachBy: 'labels', boxedImages: 9 }, 'megapixel-digits')).toThrow(
    'train: --teach-by labels must come without --boxed-images, got both',
  )
  expect(run('routed', { teachBy: 'labels', teachEpochs: 3 }, 'megapixel-digits').training).toMatchObject({
    teachBy: 'labels',
    teachEpochs: 3,
  })
  expect(() => run('routed', { boxes: 'boxes.csv' }, 'megapixel-digits')).toThrow(
    '--boxes must be used with image-folder, got dataset megapixel-digits',
  )
})
