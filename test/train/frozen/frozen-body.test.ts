import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { augmented } from '../../../src/data/augmentation/augmented.js'
import { streamOf } from '../../../src/data/image-stream.js'
import { featureFiles } from '../../../src/files/features/feature-files.js'
import { FrozenBody, frozenSplit } from '../../../src/train/frozen/frozen-body.js'
import { freezeLayers } from '../../../src/train/frozen/frozen-layers.js'
import { splitAt } from '../../../src/train/frozen/split-model.js'
import { type TrainEvent, train } from '../../../src/train/loop.js'
import { useTestBackend } from '../../backend-under-test.js'
import { collect } from '../../data/regions/collect.js'
import { allEvents, historyOf, weightsOf, withoutClock } from '../tasks.js'
import { layerValues, residualNetwork, residualTask } from './networks.js'

let root = ''
let folders = 0
beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-features-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))
const newFolder = () => join(root, String(folders++))

const options = { ...residualTask, freezeUntil: 'sum' } as const
const nothing = { terms: new Set<never>(), changing: [] }
const featureEvents = (events: readonly TrainEvent[]) =>
  events.flatMap(event => (event.type === 'features' ? [event] : []))

function cutOf(freezing: Parameters<typeof freezeLayers>[1]): string | undefined {
  const model = residualNetwork()
  const { part, restore } = freezeLayers(model, freezing)
  const split = frozenSplit(model, { evaluated: part.evaluated, ...nothing })
  restore()
  model.dispose()
  return split?.path
}

describe('frozenSplit', () => {
  it.each([
    ['the layers without weights that follow, up to dropout', { freezeUntil: 'sum' }, 'pool'],
    ['dropout where it is frozen itself', { freezeUntil: 'dropout' }, 'dropout'],
    ['the last place where a single tensor passes', { freezeUntil: 'branch' }, 'relu2'],
    ['nothing of a layer that is trained', { trainOnly: ['conv2', 'logits'] }, 'relu1'],
    ['nothing that follows its batches', { freezeUntil: 'sum', frozenStatistics: 'followed' }, 'conv1'],
    ['all before a bias that is trained', { trainOnly: ['logits/bias'] }, 'pool'],
    ['nothing below the first layer', { trainOnly: ['conv1'] }, undefined],
    ['nothing of a network that is trained', {}, undefined],
  ] as const)('takes %s', (_, freezing, path) => {
    expect(cutOf(freezing)).toBe(path)
  })
})

describe('training with a frozen body', () => {
  it('takes the steps and gives the numbers that it has without features that are kept, bit by bit', async () => {
    const computed = residualNetwork()
    const history = await historyOf(train(computed, options))
    const folder = newFolder()
    const cached = residualNetwork()
    const events = await allEvents(train(cached, { ...options, features: featureFiles(folder) }))
    expect(featureEvents(events)).toMatchObject([
      { epoch: 1, path: 'pool', images: 45, bytes: 45 * 6 * 4, computed: 45, remarks: [] },
    ])
    const end = events.at(-1)
    expect(end?.type === 'end' && withoutClock(end.history)).toEqual(withoutClock(history))
    expect(weightsOf(cached)).toEqual(weightsOf(computed))
    expect((await readdir(folder)).length).toBe(2)
    // Found again by a network with the same body, whatever its head.
    const again = residualNetwork()
    const second = await allEvents(train(again, { ...options, seed: 9, features: featureFiles(folder) }))
    expect(featureEvents(second)).toMatchObject([{ images: 45, computed: 0 }])
    for (const model of [computed, cached, again]) model.dispose()
  })

  it('changes the head alone, keeps statistics, and leaves no tensor behind', async () => {
    const model = residualNetwork()
    const frozen = ['conv1', 'norm1', 'conv2', 'norm2', 'branch', 'shortcut']
    const before = frozen.map(name => layerValues(model, name))
    const logits = layerValues(model, 'logits')
    // What a backend keeps is made in the first run.
    await historyOf(train(model, { ...options, features: featureFiles(newFolder()) }))
    const { numTensors } = tf.memory()
    await historyOf(train(model, { ...options, features: featureFiles(newFolder()) }))
    expect(tf.memory().numTensors).toBe(numTensors)
    expect(frozen.map(name => layerValues(model, name))).toEqual(before)
    expect(layerValues(model, 'logits')).not.toEqual(logits)
    expect(model.layers.slice(1).every(({ trainable }) => trainable)).toBe(true)
    model.dispose()
  })

  it('computes the body in every epoch for images that vary, and keeps those of the others', async () => {
    const varied = augmented(streamOf(options.train), { flip: true, seed: 1 })
    const model = residualNetwork()
    const events = await allEvents(
      train(model, { ...options, train: varied, features: featureFiles(newFolder()) }),
    )
    const [event] = featureEvents(events)
    expect(event).toMatchObject({ images: 15, computed: 15 })
    expect(event?.remarks[0]).toMatch(
      /^the frozen layers are computed in each epoch for the 30 training images: they vary from epoch to epoch$/,
    )
    model.dispose()
  })

  it('computes features again for other weights, other images, and a damaged file, which it names once', async () => {
    const folder = newFolder()
    const run = async (change: (model: tf.LayersModel) => void, set = options.train) => {
      const model = residualNetwork()
      change(model)
      const features = featureFiles(folder)
      const events = await allEvents(train(model, { ...options, epochs: 1, train: set, features }))
      model.dispose()
      return featureEvents(events)[0]
    }
    const same = () => undefined
    await run(same)
    const bias = await run(model =>
      model
        .getLayer('conv1')
        .setWeights([model.getLayer('conv1').getWeights()[0] as tf.Tensor, tf.tensor1d([0, 0, 0, 1e-3])]),
    )
    expect(bias).toMatchObject({ computed: 45 })
    const images = options.train.images.slice()
    images[7] = (images[7] as number) ^ 1
    expect(await run(same, { ...options.train, images })).toMatchObject({ computed: 30 })
    // The same images with other labels have the same features.
    expect(
      await run(same, { ...options.train, labels: options.train.labels.map(l => (l + 1) % 3) }),
    ).toMatchObject({ computed: 0 })
    for (const name of await readdir(folder)) {
      const bytes = await readFile(join(folder, name))
      bytes[5] = (bytes[5] as number) ^ 4
      await writeFile(join(folder, name), bytes)
    }
    const damaged = await run(same)
    expect(damaged).toMatchObject({ computed: 45 })
    expect(damaged?.remarks).toHaveLength(2)
    expect(damaged?.remarks[0]).toMatch(/sha256 must be \w+…, got \w+… \(the file is damaged\); the features/)
    expect(await run(same)).toMatchObject({ computed: 0, remarks: [] })
  })

  it('shares the features of its batches out between workers', async () => {
    const model = residualNetwork()
    const body = new FrozenBody(splitAt(model, model.getLayer('pool').output as tf.SymbolicTensor))
    const { train: set } = options
    await body.cache(set, true, { store: featureFiles(newFolder()), batchSize: 8, computedBy: 'test' })
    // 30 images in batches of 7: the last of 2, of which the first worker has none.
    const pass = { batchSize: 7, shuffle: { seed: 2, epoch: 1 } }
    const contentOf = async (shard?: { readonly index: number; readonly count: number }) => {
      const batches = await collect(body.batches(set, { ...pass, ...(shard && { shard }) }))
      return batches.map(({ features, labels }) => {
        const tensor = features()
        const values = [...tensor.dataSync()]
        tensor.dispose()
        return { values, labels: [...labels] }
      })
    }
    const whole = await contentOf()
    const parts = [await contentOf({ index: 0, count: 3 }), await contentOf({ index: 1, count: 3 })]
    parts.push(await contentOf({ index: 2, count: 3 }))
    expect(parts.map(part => part.at(-1)?.labels.length)).toEqual([0, 1, 1])
    whole.forEach(({ values, labels }, number) => {
      expect(parts.flatMap(part => part[number]?.values ?? [])).toEqual(values)
      expect(parts.flatMap(part => part[number]?.labels ?? [])).toEqual(labels)
    })
    await body.close()
    model.dispose()
  })

  it('leaves nothing behind when it is aborted while features are computed', async () => {
    const folder = newFolder()
    const abort = new AbortController()
    const stream = streamOf(options.train)
    const aborting = {
      ...stream,
      async *batches(pass: Parameters<typeof stream.batches>[0]) {
        let batches = 0
        for await (const batch of stream.batches(pass)) {
          if (passes === 2 && ++batches === 2) abort.abort()
          yield batch
        }
        passes++
      },
    }
    let passes = 1
    const model = residualNetwork()
    const events = await allEvents(
      train(model, { ...options, train: aborting, features: featureFiles(folder), signal: abort.signal }),
    )
    expect(events.map(({ type }) => type)).toEqual(['start', 'stop', 'end'])
    expect(await readdir(folder)).toEqual([])
    model.dispose()
  })
})

it('says where features are kept when several tensors pass after the frozen layer', async () => {
  const model = residualNetwork()
  const features = featureFiles(newFolder())
  const events = await allEvents(train(model, { ...options, freezeUntil: 'branch', epochs: 1, features }))
  expect(events.flatMap(event => (event.type === 'remark' ? [event.remark] : []))).toEqual([
    'The features after branch are not kept, those after relu2 are: 2 tensors pass there, the outputs of relu2, branch ' +
      '(the network can be cut after relu2 or sum).',
  ])
  expect(featureEvents(events)[0]).toMatchObject({ path: 'relu2', images: 45 })
  model.dispose()
})

it('keeps features of layers inside a nested model', async () => {
  const nested = () => {
    const base = residualNetwork()
    const input = tf.input({ shape: [8, 8, 1] })
    const features = base.apply(input) as tf.SymbolicTensor
    const kernelInitializer = tf.initializers.glorotUniform({ seed: 6 })
    const logits = tf.layers.dense({ units: 3, name: 'top', kernelInitializer }).apply(features)
    return tf.model({ inputs: input, outputs: logits as tf.SymbolicTensor })
  }
  const [computed, kept] = [nested(), nested()]
  const task = { ...options, freezeUntil: 'residual/relu2' }
  const history = await historyOf(train(computed, task))
  const events = await allEvents(train(kept, { ...task, features: featureFiles(newFolder()) }))
  expect(featureEvents(events)).toMatchObject([{ path: 'residual/relu2', images: 45, computed: 45 }])
  expect(events.some(({ type }) => type === 'remark')).toBe(false)
  const end = events.at(-1)
  expect(end?.type === 'end' && withoutClock(end.history)).toEqual(withoutClock(history))
  expect(weightsOf(kept)).toEqual(weightsOf(computed))
  for (const model of [computed, kept]) model.dispose()
})
