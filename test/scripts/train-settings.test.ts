import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { namingFlags, trainSettings, withFlags } from '../../scripts/run/train-settings.js'
import { UsageError } from '../../scripts/terminal/usage-error.js'
import { datasets } from '../../src/data/datasets/datasets.js'
import { modelNames, modelsFor, recipe } from '../../src/models/recipes.js'
import { runConfig } from '../../src/run/run-config.js'
import { settingPath } from '../../src/run/setting.js'

describe('withFlags', () => {
  test('puts each flag where the model keeps the setting, and leaves the original alone', () => {
    const original = { model: { options: { depth: 10, pmoe: { numExperts: 4 } } }, training: { epochs: 30 } }
    const given = { epochs: 5, experts: 8, lr: 0.2, patchSize: [1, 2], out: 'runs/x', json: true }
    expect(withFlags(original, 'wrn-pmoe', given)).toEqual({
      model: { options: { depth: 10, pmoe: { numExperts: 8, patchSize: [1, 2] } } },
      training: { epochs: 5, learningRate: 0.2 },
    })
    expect(original.training.epochs).toBe(30)
    expect(withFlags({ model: { options: {} } }, 'two-layer-pmoe', { experts: 8 })).toEqual({
      model: { options: { numExperts: 8 } },
    })
  })

  test('refuses a flag that the model does not have', () => {
    expect(() => withFlags({}, 'two-layer', { depth: 10 })).toThrow(
      'train: --depth must be used with wrn, wrn-pmoe, got model two-layer',
    )
    expect(() => withFlags({}, 'wrn', { experts: 2 })).toThrow(
      'train: --experts must be used with wrn-pmoe, two-layer-pmoe, sample-moe, sample-networks, routed, init, got model wrn',
    )
    expect(() => withFlags({}, 'sample-single', { routingNoise: 0 })).toThrow(
      'train: --routing-noise must be used with sample-moe, sample-networks, got model sample-single',
    )
  })

  test('refuses a value that another model has, and says which this one takes', () => {
    for (const [model, flags, message] of [
      ['wrn-pmoe', { gate: 'raw' }, '--gate must be one of softmax-selected, softmax-all, uniform'],
      ['two-layer-pmoe', { gate: 'softmax' }, '--gate must be one of softmax-selected, softmax-all, uniform'],
      ['sample-moe', { gate: 'softmax-all' }, '--gate must be one of softmax, raw, uniform'],
    ] as const) {
      expect(() => withFlags({}, model, flags)).toThrow(
        new UsageError(`train: ${message} with model ${model}, got ${flags.gate}`),
      )
    }
    expect(withFlags({}, 'sample-moe', { gate: 'raw' })).toEqual({ model: { options: { gate: 'raw' } } })
    expect(() => withFlags({}, 'two-layer', { patchSize: [4, 2] })).toThrow(
      new UsageError('train: --patch-size must be one number with model two-layer, got 4,2'),
    )
  })
})

describe('messages of the library', () => {
  test.each([
    [
      'wrn',
      'train: freezeUntil must be left out with trainOnly, got a and b',
      '--freeze-until must be left out with --train-only, got a and b',
    ],
    [
      'wrn',
      'train: warmupEpochs must be less than epochs, got 2 (epochs 2)',
      '--warmup-epochs must be less than epochs, got 2 (epochs 2)',
    ],
    ['wrn', 'train: epochs must be a positive integer, got 0', '--epochs must be a positive integer, got 0'],
    [
      'wrn-pmoe',
      'train: annealPatches.from must be in [1, 64], got 65',
      '--anneal-patches: from must be in [1, 64], got 65',
    ],
    ['two-layer-pmoe', 'train: diversity must be 0, got 0.5', '--diversity must be 0, got 0.5'],
    [
      'wrn',
      'train: model must have weights, got 0 (which are frozen by freezeUntil logits)',
      'model must have weights, got 0 (which are frozen by --freeze-until logits)',
    ],
    ['wrn', 'train: the batch must fit, got batchSize 8', 'the batch must fit, got --batch-size 8'],
  ] as const)('name flags: %s, %s', (model, message, said) => {
    expect(namingFlags(model)(message)).toBe(`train: ${said}`)
  })

  test('keep names of layers, classes and paths, and of what the model has no flag for', () => {
    for (const message of [
      'train: images must be there, got freezeUntil/one',
      'train: layer must be there, got "freezeUntil" (nearest: block/freezeUntil)',
      'train: must be the configuration of a run, got training.batchSize: too small',
      'train: images must be there, got freezeUntil.png',
      'PatchMoE: filters must be divided, got 3 (numExperts 2)',
      'train: two freezeUntilThere, got freeze_freezeUntil-1 and -freezeUntil',
    ]) {
      expect(namingFlags('wrn')(message)).toBe(message)
    }
    expect(namingFlags('wrn-pmoe')('PatchMoE: patchesPerExpert must be 1, got 2')).toBe(
      'PatchMoE: --patches-per-expert must be 1, got 2',
    )
  })
})

describe('flags of augmentation', () => {
  const parse = (...words: string[]) => {
    const command = new Command('train').exitOverride().configureOutput({ writeErr: () => {} })
    for (const { option } of trainSettings) command.addOption(option)
    return withFlags({}, 'wrn', command.parse(words, { from: 'user' }).opts())
  }

  test('are read, switched on and switched off', () => {
    expect(parse('--augment', 'light', '--no-flip', '--rotate', '15')).toEqual({
      dataset: { augment: 'light', flip: false, rotate: 15 },
    })
    expect(parse('--flip', '--trivial-augment')).toEqual({ dataset: { flip: true, trivialAugment: true } })
    expect(parse('--augment', 'strong', '--no-trivial-augment')).toEqual({
      dataset: { augment: 'strong', trivialAugment: false },
    })
    expect(parse('--jitter', '0.4', '--rand-augment', '2:9')).toEqual({
      dataset: {
        jitter: { brightness: 0.4, contrast: 0.4, saturation: 0.4 },
        randAugment: { operations: 2, magnitude: 9 },
      },
    })
    expect(parse('--jitter', 'hue=0.1, contrast=2')).toEqual({
      dataset: { jitter: { hue: 0.1, contrast: 2 } },
    })
    expect(parse()).toEqual({})
  })

  test.each([
    ['--jitter', 'bright=1', 'brightness=0.4,hue=0.1'],
    ['--jitter', 'hue=0.6', 'hue, which is at most 0.5'],
    ['--jitter', 'hue=0.1=2', 'hue, which is at most 0.5'],
    ['--jitter', '-1', 'a number of at least 0, or parts of'],
    ['--jitter', '', 'a number of at least 0, or parts of'],
    ['--rand-augment', '9', 'COUNT:STRENGTH in whole numbers, up to 8 and 30: 2:9'],
    ['--rand-augment', '2:31', 'COUNT:STRENGTH'],
    ['--rand-augment', '2:9:1', 'COUNT:STRENGTH'],
    ['--rand-augment', '1.5:9', 'COUNT:STRENGTH'],
    ['--rotate', '181', 'a number in [0, 180]'],
    ['--random-crop', '1.1', 'a number in [0, 1]'],
    ['--erase', '-0.1', 'a number in [0, 1]'],
    ['--mixup', '-1', 'a number of at least 0'],
    ['--workers', '1.5', 'an integer of at least 0'],
    ['--augment', 'heavy', 'none, light, strong'],
  ])('%s %s is refused', (flag, value, message) => {
    expect(() => parse(flag, value)).toThrow(message)
  })
})

/** A value that each kind of setting takes. */
const samples: Readonly<Record<string, unknown>> = {
  variant: 'drop-in',
  border: 'halo',
  gate: 'uniform',
  setting: 'S3',
  activation: 'relu',
  gateNoise: 'included',
  gateScale: 'none',
  optimizer: 'momentum',
  norm: 'sum',
  lossForm: 'cross-entropy-of-probabilities',
  stopWhen: { lossAtMost: 0.314 },
  bnStatistics: 'moving',
  lr: 0.01,
  momentum: 0.5,
  bnMomentum: 0.5,
  precision: 'bf16',
  memory: 'low',
  imageSize: [64, 48],
  crop: 'center148',
  targets: [0, 1],
  distractors: [2],
  backgrounds: '/images',
  theory: { lStar: 3 },
  routerTraining: 'separate',
  routingMetrics: true,
  flip: true,
  augment: 'light',
  randomCrop: 0.5,
  verticalFlip: true,
  trivialAugment: true,
  randAugment: { operations: 2, magnitude: 9 },
  jitter: { brightness: 0.4, hue: 0.1 },
  grey: 0.1,
  blur: 0.1,
  erase: 0.25,
  balance: 'group',
  validation: '2/5',
  background: 'noise',
  itemBrightness: 0.5,
  boxes: '/boxes.csv',
  teachBy: 'labels',
  decayRate: 0.5,
  labelSmoothing: 0.1,
  emaDecay: 0.99,
  classWeights: 'balanced',
  expertPixels: 'centred',
  task: 'present',
  schedule: 'cosine',
  prior: 'none',
  priorUntil: 0.5,
  shareExpert: true,
  aggregate: 'sum',
  freeze: ['stem'],
  freezeUntil: 'stem',
  trainOnly: ['logits', '*/bias'],
  freezeRouters: true,
  frozenStatistics: 'followed',
  featureCache: true,
  featureFolder: '/features',
  batchNorm: 'local',
  wire: 'bfloat16',
  lrFor: [{ pattern: 'stem', learningRate: 0.1 }],
  annealPatches: { from: 8, to: 2, epochs: 1 },
}

test.each(modelNames)('every flag of %s leads to a setting that the configuration knows', model => {
  const dataset = datasets.find(entry => modelsFor(entry).includes(model))?.name ?? ''
  const { model: options, training } = recipe(dataset, model)
  const { samples: count, fullBatch: _, ...rest } = training
  const base = {
    dataset: {
      name: dataset,
      data: null,
      samples: count,
      testSamples: null,
      classNames: ['0', '1'],
    },
    model: {
      name: model,
      options: options.kind === 'routed' ? { ...options, imageShape: [128, 128, 1] } : options,
    },
    training: rest,
    seed: 1,
    backend: 'wasm',
    precision: 'float32',
    memory: 'normal',
    versions: { patchMoe: '0', tfjs: '0', node: '0' },
  }
  for (const { option, name: key, setting } of trainSettings) {
    const path = settingPath(key, setting, model)
    if (path === undefined) continue
    const name = option.attributeName()
    const value = samples[name] ?? 3
    const config = runConfig(withFlags(base, model, { [name]: value }), 'test')
    const found = path.reduce<unknown>((inner, key) => Reflect.get(inner as object, key), config)
    expect(found, name).toEqual(value)
  }
})
