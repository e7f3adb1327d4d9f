import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, test } from 'vitest'
import { buildNetwork } from '../../scripts/run/network.js'
import { type InitialOptions, imageSizeOf, initialNetwork } from '../../scripts/run/transfer/initial-model.js'
import { PatchMoE } from '../../src/layers/moe/patch-moe.js'
import { disposeModel } from '../../src/models/dispose-model.js'
import { useTestBackend } from '../backend-under-test.js'
import { numberedImages } from '../data/numbered-images.js'
import { nestedModel, siameseModel, vggLike } from '../models/example-models.js'

beforeAll(async () => {
  await useTestBackend()
})

const options = { kind: 'init', from: '/models/one' } as const
/** Images of one class after the other, their bytes far apart. */
const classes = (...classNames: string[]) => ({
  ...numberedImages(40, classNames.length, [8, 8, 3]),
  classNames,
})
const runOf = (...classNames: string[]) => ({ classNames })
const opened = (of?: { classNames: readonly string[] }, model = nestedModel()) => ({
  model,
  directory: '/models/one',
  ...of,
})

test('keeps the head for the classes of the run', async () => {
  const of = opened(runOf('a', 'b', 'c'))
  const head = [...(of.model.getLayer('head').getWeights()[0]?.dataSync() ?? [])]
  const { model, notes } = await initialNetwork(of, options, classes('a', 'b', 'c'), 1)
  expect(notes).toEqual(['Kept the head of /models/one.'])
  expect([...(model.getLayer('head').getWeights()[0]?.dataSync() ?? [])]).toEqual(head)
  disposeModel(model)
})

/** A model of three classes that answers always the same, with these logits. */
function sayingAlways(logits: readonly number[]): tf.LayersModel {
  const model = nestedModel()
  const [kernel] = model.getLayer('head').getWeights()
  tf.tidy(() =>
    model.getLayer('head').setWeights([tf.zerosLike(kernel as tf.Tensor), tf.tensor1d([...logits])]),
  )
  return model
}

test('asks a model that does not say its classes, and keeps its head unless guessing is far better', async () => {
  const images = { ...classes('a', 'b', 'c'), labels: new Int32Array(40) }
  const notesOf = async (logits: number[], how: Parameters<typeof initialNetwork>[1] = options) => {
    const { model, notes } = await initialNetwork(opened(undefined, sayingAlways(logits)), how, images, 1)
    disposeModel(model)
    return notes
  }
  // All images are of the first class. Losses: ln(e^5 + 2) - 5 = 0.013, ln 3 = 1.1, ln(2 e^5 + 1) = 5.7.
  expect(await notesOf([5, 0, 0])).toEqual([
    'Kept the head of /models/one: the model does not say which classes it knows; on 40 of the images its loss is 0.013, that of guessing 1.1 (--new-head starts it anew).',
  ])
  expect((await notesOf([0, 0, 0]))[0]).toMatch(
    /^Kept the head of .* its loss is 1\.1, that of guessing 1\.1 /,
  )
  expect(await notesOf([0, 5, 5])).toEqual([
    'New head head with 3 outputs: the model does not say which classes it knows; on 40 of the images its loss is 5.7, that of guessing 1.1 (--keep-head keeps the old one).',
  ])
  expect(await notesOf([0, 5, 5], { ...options, head: 'keep' })).toEqual([
    'Kept the head of /models/one: as asked for by --keep-head.',
  ])
  expect(await notesOf([5, 0, 0], { ...options, head: 'new' })).toEqual([
    'New head head with 3 outputs: as asked for by --new-head.',
  ])
})

test('gives other classes a new head, said plainly, and leaves nothing behind', async () => {
  const before = tf.memory().numTensors
  const { model, notes } = await initialNetwork(
    opened(runOf('a', 'b', 'c')),
    options,
    classes('a', 'b', 'd'),
    1,
  )
  expect(notes).toEqual(['New head head with 3 outputs: the model knows a, b, c, the images are a, b, d.'])
  disposeModel(model)
  const insert = { numExperts: 2, patchSize: 4, patchesPerExpert: 2 }
  const mixed = await initialNetwork(opened(), { ...options, insert }, classes('a', 'b'), 1)
  expect(mixed.notes[0]).toBe(
    'New head head with 2 outputs: the model tells 3 classes apart, the images have 2.',
  )
  expect(mixed.notes[1]).toMatch(
    /^2 experts in the place of backbone\/conv: with all 4 patches.* They (save|take) [\d.]+% (of the model's|more) multiply-adds/,
  )
  expect((mixed.model.getLayer('backbone') as tf.LayersModel).getLayer('conv')).toBeInstanceOf(PatchMoE)
  disposeModel(mixed.model)
  expect(tf.memory().numTensors).toBe(before)
})

test('says what does not fit', async () => {
  const refuses = (of: Parameters<typeof initialNetwork>[0], how: InitialOptions, message: string) =>
    expect(initialNetwork(of, how, classes('a', 'b', 'c'), 1)).rejects.toThrow(message)
  await expect(initialNetwork(opened(), { ...options, head: 'keep' }, classes('a', 'b'), 1)).rejects.toThrow(
    'train: --keep-head must be left out where the model tells 3 classes apart, the images have 2',
  )
  await refuses(
    { model: vggLike(), directory: '/models/vgg' },
    options,
    'train: images must be 16x16x3 for the model of /models/vgg, got 8x8x3',
  )
  const insert = { numExperts: 3, patchSize: 1, patchesPerExpert: 2 }
  await refuses(
    opened(),
    { ...options, insert, head: 'keep' },
    'backbone/conv: 3 experts do not divide its 4 filters',
  )
  expect(imageSizeOf(opened())).toEqual([8, 8])
  expect(() => imageSizeOf({ model: siameseModel(), directory: '/models/two' })).toThrow(
    '/models/two: model must take images of one size, got inputs [null, 8, 8, 3] and [null, 8, 8, 3] and [null, 2]',
  )
  expect(() => buildNetwork(options, classes('a', 'b'), 1)).toThrow(
    'buildNetwork: network must be loaded from /models/one',
  )
})
