import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ImageSet } from '../../src/data/image-set.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { sampleMoE } from '../../src/layers/moe/sample-moe.js'
import { twoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import {
  criterionRefusals,
  type ExpertScoresOptions,
  expertScores,
  type PruneExpertsOptions,
  pruneExperts,
  routersOf,
} from '../../src/prune/index.js'
import { useTestBackend } from '../backend-under-test.js'
import { applied, fillWeights } from '../models/example-models.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const mixture = (name: string, more: Partial<Parameters<typeof patchMoE>[0]> = {}) =>
  patchMoE({ name, numExperts: 4, patchesPerExpert: 2, patchSize: 2, filters: 8, kernelSize: 1, ...more })

function modelOf(...layers: tf.layers.Layer[]): tf.LayersModel {
  const image = tf.input({ shape: [4, 6, 1] })
  const output = layers.reduce((tensor, layer) => applied(layer, tensor), image as tf.SymbolicTensor)
  return fillWeights(tf.model({ inputs: image, outputs: output, name: 'small' }))
}

const pool = () => tf.layers.globalAveragePooling2d({ name: 'pool' })
const dense = () => tf.layers.dense({ units: 3, name: 'dense' })
const small = () => modelOf(mixture('experts'), pool(), dense())

function images(more: Partial<ImageSet> = {}): ImageSet {
  return {
    images: Uint8Array.from({ length: 5 * 24 }, (_, i) => (i * 37) % 256),
    labels: Int32Array.from([0, 1, 2, 0, 1]),
    count: 5,
    shape: [4, 6, 1],
    classNames: ['a', 'b', 'c'],
    ...more,
  }
}

describe('pruneExperts refuses', () => {
  const random = { criterion: 'random' } as const
  const cases: readonly (readonly [string, () => tf.LayersModel, PruneExpertsOptions, string])[] = [
    ['no number', small, random, 'one of keep, ratio and threshold must be given, got none (layer experts)'],
    [
      'two numbers',
      small,
      { ...random, keep: 2, ratio: 0.5 },
      'one of keep, ratio and threshold must be given, got keep and ratio (layer experts)',
    ],
    ...[0, 5, 1.5, -1, Number.NaN].map(
      keep =>
        [
          `keep ${keep}`,
          small,
          { ...random, keep },
          `keep must be an integer in [1, 4], got ${keep} (layer experts has 4 experts)`,
        ] as const,
    ),
    ...[1, -0.1, Number.NaN].map(
      ratio =>
        [
          `ratio ${ratio}`,
          small,
          { ...random, ratio },
          `ratio must be in [0, 1), got ${ratio} (layer experts has 4 experts)`,
        ] as const,
    ),
    [
      'a threshold that is no number',
      small,
      { ...random, threshold: Number.NaN },
      'threshold must be a finite number, got NaN (layer experts has 4 experts)',
    ],
    [
      'a record without the layer',
      small,
      { ...random, layer: 'experts', keep: { other: 2 } },
      'keep must be given for every layer, got none for experts',
    ],
    [
      'an unknown layer',
      small,
      { ...random, keep: { other: 2 } },
      'layer must be a mixture of the model (experts), got "other"',
    ],
    ['no layer', small, { ...random, layer: [], keep: 2 }, 'layer must name at least 1 mixture, got none'],
    [
      'a layer that is no mixture',
      small,
      { ...random, layer: 'dense', keep: 2 },
      'layer must be a mixture of the model (experts), got "dense"',
    ],
    [
      'a model without mixture',
      () => modelOf(pool(), dense()),
      { ...random, keep: 2 },
      'model must have a mixture of experts, got small with 3 layers and none',
    ],
    [
      'an unknown criterion',
      small,
      { criterion: 'size' as 'random', keep: 2 },
      'criterion must be one of router-norm, router-norm-abs, router-distance, router-magnitude, expert-magnitude, importance, ' +
        'coverage, usage, gate-mass, activation-norm, taylor, random, got "size"',
    ],
    [
      'no reference',
      small,
      { keep: 2 },
      'criterion must be one that can be computed, got router-norm: it needs a reference, the model or routers before ' +
        'fine-tuning (layer experts)',
    ],
    [
      'no data',
      small,
      { criterion: 'taylor', keep: 2 },
      'criterion must be one that can be computed, got taylor: it needs data, a set of images (layer experts)',
    ],
    [
      'an operator of other mixtures',
      small,
      { ...random, keep: 2, operator: 'reroute' },
      "operator must be 'remove' or 'zero' for the experts of experts (PatchMoE), got \"reroute\"",
    ],
    [
      'a compensation without removed channels',
      small,
      { ...random, keep: 2, operator: 'zero', compensate: 'zero' },
      "compensate must be 'none' where no channels are removed, got 'zero' (layer experts, operator 'zero')",
    ],
    [
      'mean compensation without data',
      small,
      { ...random, keep: 2, compensate: 'mean' },
      "compensate 'mean' must have data, a set of images, got none",
    ],
    [
      'a compensation where a mixture reads the channels',
      () => modelOf(mixture('experts'), mixture('second'), pool(), dense()),
      { ...random, keep: { experts: 2 }, compensate: 'zero' },
      "compensate 'zero' must be possible in every layer that reads removed channels, got layer second (PatchMoE): no bias of " +
        "it can stand for a channel; compensate 'none' is possible",
    ],
    [
      'channels that are an output',
      () => modelOf(mixture('experts')),
      { ...random, keep: 2 },
      'channels of experts must be removable from every layer that gets them, got output 1 of the model (experts), which must ' +
        "keep all 8 channels; operator 'zero' is possible, which keeps them",
    ],
    [
      'a layer normalization',
      () => modelOf(mixture('experts'), tf.layers.layerNormalization({ name: 'norm' }), pool(), dense()),
      { ...random, keep: 2 },
      'got layer norm (LayerNormalization): it normalises over the channels; operator',
    ],
    [
      'a softmax over channels',
      () => modelOf(mixture('experts'), tf.layers.activation({ activation: 'softmax', name: 'act' }), pool()),
      { ...random, keep: 2 },
      'got layer act (Activation): softmax runs over all channels; operator',
    ],
    [
      'a reshape of channels',
      () =>
        modelOf(mixture('experts'), tf.layers.reshape({ targetShape: [4, 12, 4], name: 'shape' }), pool()),
      { ...random, keep: 2 },
      'got layer shape (Reshape): it gives the channels another shape; operator',
    ],
    [
      'channels that move',
      () => modelOf(mixture('experts'), tf.layers.permute({ dims: [3, 1, 2], name: 'turn' }), pool()),
      { ...random, keep: 2 },
      'got layer turn (Permute): it moves the channels to another axis; operator',
    ],
    [
      'a layer of unknown effect',
      () =>
        modelOf(
          mixture('experts'),
          tf.layers.timeDistributed({
            layer: tf.layers.dense({ units: 2 }),
            name: 'each',
          }) as tf.layers.Layer,
        ),
      { ...random, keep: 2 },
      'got layer each (TimeDistributed): what it does with its channels is not known; operator',
    ],
  ]

  it.each(cases)('%s', async (_, model, options, message) => {
    await expect(pruneExperts(model(), options)).rejects.toThrow(message)
  })

  it('an Add with another map, inside a nested model, by its path', async () => {
    const inner = tf.input({ shape: [4, 6, 8] })
    const others = applied(tf.layers.conv2d({ filters: 8, kernelSize: 1 }), inner)
    const nested = tf.model({
      inputs: inner,
      outputs: applied(tf.layers.add({ name: 'sum' }), [inner, others]),
      name: 'body',
    })
    const fed = modelOf(mixture('experts'), nested as unknown as tf.layers.Layer, pool(), dense())
    await expect(pruneExperts(fed, { ...random, keep: 2 })).rejects.toThrow(
      'got layer body/sum (Add): it adds the channels to other maps, which keep all 8 channels; operator',
    )
  })

  it('a layer that is shared by maps that keep other channels', async () => {
    const image = tf.input({ shape: [4, 6, 1] })
    const map = applied(mixture('experts'), image)
    const plain = applied(tf.layers.conv2d({ filters: 8, kernelSize: 1 }), image)
    const shared = tf.layers.conv2d({ filters: 2, kernelSize: 1, name: 'shared' })
    const sum = applied(tf.layers.add(), [applied(shared, map), applied(shared, plain)])
    await expect(
      pruneExperts(tf.model({ inputs: image, outputs: sum }), { ...random, keep: 2 }),
    ).rejects.toThrow('got layer shared (Conv2D): it is shared by maps that keep other channels; operator')
  })

  it('a threshold that no expert reaches, with the largest score', async () => {
    const options = { criterion: 'expert-magnitude', threshold: 1e9 } as const
    await expect(pruneExperts(small(), options)).rejects.toThrow(
      /^pruneExperts: threshold must leave at least 1 expert, got 1000000000 \(scores up to \d\.\d+, layer experts\)$/,
    )
  })

  it('scores that are not finite, naming the expert', async () => {
    const model = small()
    const [router, ...others] = model.getLayer('experts').getWeights() as [tf.Tensor, ...tf.Tensor[]]
    const broken = tf.mul(router, tf.tensor1d([1, 1, Number.NaN, 1]))
    model.getLayer('experts').setWeights([broken, ...others])
    await expect(pruneExperts(model, { criterion: 'router-magnitude', keep: 2 })).rejects.toThrow(
      'pruneExperts: scores must be finite numbers, got NaN for expert 2 by router-magnitude (layer experts)',
    )
  })

  it('constants that are not constant behind a border', async () => {
    const model = modelOf(
      mixture('experts'),
      tf.layers.batchNormalization({ name: 'bn' }),
      tf.layers.zeroPadding2d({ padding: 1 }),
      tf.layers.conv2d({ filters: 2, kernelSize: 3, name: 'conv' }),
      pool(),
    )
    const options = { ...random, keep: 2, compensate: 'zero' } as const
    await expect(pruneExperts(model, options)).rejects.toThrow(
      /^pruneExperts: compensate 'zero' must find constant channels, got values from \S+ to \S+ where layer conv reads them/,
    )
  })
})

describe('a reference', () => {
  const options = { keep: 2 } as const

  it('must have routers of the same shape', async () => {
    const other = modelOf(mixture('experts', { numExperts: 2 }), pool(), dense())
    await expect(pruneExperts(small(), { ...options, reference: other })).rejects.toThrow(
      'pruneExperts: reference must have routers of shape [2, 2, 1, 4], got [2, 2, 1, 2] (layer experts of small)',
    )
  })

  it('must have the router of the layer', async () => {
    const other = modelOf(mixture('others'), pool(), dense())
    await expect(pruneExperts(small(), { ...options, reference: other })).rejects.toThrow(
      'pruneExperts: reference must have the router of layer experts, got small with routers of others',
    )
  })

  it('must be a model or routers', async () => {
    const reference = { path: 'x' } as unknown as { path: string; routers: Record<string, never> }
    await expect(pruneExperts(small(), { ...options, reference })).rejects.toThrow(
      'pruneExperts: reference must be a model or have routers by layer path, got undefined',
    )
  })

  it('that looks like an initialisation gives a warning, and its norms', async () => {
    const model = small()
    const routers = await routersOf(model)
    const shape = [2, 2, 1, 4]
    const tiny = { path: 'initial', routers: { experts: { shape, values: new Float32Array(16).fill(1e-4) } } }
    const { receipt } = await pruneExperts(model, { ...options, reference: tiny })
    expect(receipt.warnings).toEqual([
      'the reference looks like an initialisation (its routers have norms up to 0.000200): the change of a norm is then ' +
        'almost the norm itself, as in router-magnitude',
    ])
    expect(receipt.reference?.path).toBe('initial')
    for (const norm of receipt.reference?.norms ?? []) expect(norm).toBeCloseTo(2e-4)
    const trained = await pruneExperts(model, { ...options, reference: { path: 'runs/1', routers } })
    expect(trained.receipt.scores).toEqual([0, 0, 0, 0])
    expect(trained.receipt.warnings).toEqual([
      'all scores are 0: router-norm does not tell these experts apart',
    ])
    expect(trained.receipt).toMatchObject({ kept: [0, 1], removed: [2, 3], tied: [0, 1, 2, 3] })
  })
})

describe('expertScores refuses', () => {
  const cases: readonly (readonly [string, ExpertScoresOptions, string])[] = [
    ['no criteria', { criteria: [] }, 'criteria must be at least one of router-norm,'],
    [
      'data of another shape',
      { criteria: ['coverage'], data: images({ shape: [6, 4, 1] }) },
      "expertScores: data must fit the model's input [4, 6, 1], got images of [6, 4, 1]",
    ],
    [
      'data of another number of classes, for taylor',
      { criteria: ['taylor'], data: images({ classNames: ['a', 'b'] }) },
      "expertScores: data must have the model's 3 classes, got 2 (a, b)",
    ],
    [
      'a label that is no class',
      { criteria: ['taylor'], data: images({ labels: Int32Array.from([0, 1, 2, 3, 0]) }) },
      'expertScores: data must have labels in [0, 2], got 3 (image 3)',
    ],
    [
      'empty data',
      { criteria: ['coverage'], data: images({ count: 0 }) },
      'expertScores: data must hold at least 1 image, got 0',
    ],
    [
      'usage of experts that choose patches',
      { criteria: ['usage'], data: images() },
      'criterion must be one that can be computed, got usage: it is L/N = 2/6 for every expert, as each chooses its patches',
    ],
    [
      'the gate mass of softmax-selected',
      { criteria: ['gate-mass'], data: images() },
      "got gate-mass: it is 1 for every expert under gate 'softmax-selected' (layer experts)",
    ],
    [
      'labels that are missing',
      { criteria: ['taylor'], data: images({ labels: undefined as unknown as Int32Array }) },
      'got taylor: it needs the labels of the images (layer experts)',
    ],
  ]
  it.each(cases)('%s', async (_, options, message) => {
    await expect(expertScores(small(), options)).rejects.toThrow(message)
  })

  it('several mixtures without a choice', async () => {
    const model = modelOf(mixture('first'), mixture('second'), pool(), dense())
    await expect(expertScores(model, { criteria: ['random'] })).rejects.toThrow(
      'expertScores: layer must be given for a model of several mixtures, got none of first, second',
    )
    const scores = await expertScores(model, { layer: 'second', criteria: ['random'] })
    expect(scores.random.scores).toHaveLength(4)
  })

  it('a mixture that is used at several places, for criteria that need data', async () => {
    const image = tf.input({ shape: [4, 6, 1] })
    const shared = mixture('experts')
    const sum = applied(tf.layers.add(), [
      applied(shared, image),
      applied(shared, applied(tf.layers.reLU(), image)),
    ])
    const model = tf.model({ inputs: image, outputs: applied(pool(), sum) })
    await expect(expertScores(model, { criteria: ['coverage'], data: images() })).rejects.toThrow(
      'expertScores: layers that are measured on images must be used at one place, got experts at several',
    )
  })

  it('is told beforehand what cannot be computed', () => {
    const gates = (gate: 'uniform' | 'softmax-all') => modelOf(mixture('experts', { gate }), pool(), dense())
    expect(Object.keys(criterionRefusals(small(), { data: images() }))).toEqual([
      'router-norm',
      'router-norm-abs',
      'router-distance',
      'usage',
      'gate-mass',
    ])
    const given = { data: images(), reference: small() }
    expect(criterionRefusals(gates('uniform'), given)).toMatchObject({
      'gate-mass': "it is L = 2 for every expert under gate 'uniform'",
    })
    expect(Object.keys(criterionRefusals(gates('softmax-all'), given))).toEqual(['usage'])
    const samples = modelOf(sampleMoE({ name: 'experts', numExperts: 4, outputs: 3, patchSize: 2 }))
    expect(criterionRefusals(samples, given)).toEqual({
      coverage: 'its experts do not choose among patches: each sample chooses its expert',
    })
    const twoLayer = twoLayerExperts({
      name: 'experts',
      numExperts: 4,
      patchesPerExpert: 2,
      patchSize: 2,
      hiddenUnits: 8,
      outputs: 3,
    })
    expect(Object.keys(criterionRefusals(modelOf(twoLayer)))).toHaveLength(9)
  })

  it('warns that importance is foreign to experts that choose patches', async () => {
    const { importance } = await expertScores(small(), { criteria: ['importance'], data: images() })
    expect(importance.warnings).toEqual([
      'the routers of experts that choose patches are never compared with each other by the network, as this criterion does',
    ])
  })
})
