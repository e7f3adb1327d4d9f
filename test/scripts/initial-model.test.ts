import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, test } from 'vitest'
import { buildNetwork } from '../../scripts/run/network.js'
import { type InitialOptions, imageSizeOf, initialNetwork } from '../../scripts/run/transfer/initial-model.js'
import { chosenScaling } from '../../scripts/run/transfer/input-scaling.js'
import { PatchMoE } from '../../src/layers/moe/patch-moe.js'
import { disposeModel } from '../../src/models/dispose-model.js'
import { withInputScaling } from '../../src/models/input-scaling.js'
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
  expect(notes).toEqual([noScaling, 'Kept the head of /models/one.'])
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

const noScaling =
  'Input scaling 0..1: nothing in the network shows another (--input-scaling names it: -1..1, 0..255, imagenet, caffe).'

test('gives a model that does not say its classes a new head, however well it answers', async () => {
  // 30 of the first class, 10 of the second.
  const images = { ...classes('a', 'b', 'c'), labels: Int32Array.from({ length: 40 }, (_, i) => +(i >= 30)) }
  const notesOf = async (logits: number[], how: Parameters<typeof initialNetwork>[1] = options) => {
    const { model, notes } = await initialNetwork(opened(undefined, sayingAlways(logits)), how, images, 1)
    disposeModel(model)
    return notes
  }
  expect(await notesOf([5, 0, 0])).toEqual([
    noScaling,
    'New head head with 3 outputs: the model does not say which classes it knows (--keep-head keeps the old one, which is right on 75.0% of 40 images).',
  ])
  expect((await notesOf([0, 0, 5])).at(-1)).toMatch(/which is right on 0\.0% of 40 images\)\.$/)
  expect(await notesOf([0, 5, 5], { ...options, head: 'keep' })).toEqual([
    noScaling,
    'Kept the head of /models/one: as asked for by --keep-head.',
  ])
  expect(await notesOf([5, 0, 0], { ...options, head: 'new' })).toEqual([
    noScaling,
    'New head head with 3 outputs: as asked for by --new-head.',
  ])
})

describe('input scaling', () => {
  const of = { classNames: ['a', 'b', 'c'] }
  const firstNote = async (how: Partial<InitialOptions>, more: object = {}, model = nestedModel()) => {
    const made = await initialNetwork(
      { ...opened(of, model), ...more },
      { ...options, ...how },
      classes('a', 'b', 'c'),
      1,
    )
    const layers = made.model.layers.map(layer => layer.getClassName())
    disposeModel(made.model)
    return [made.notes[0], layers.filter(name => name === 'InputScaling').length]
  }

  test('is a layer in front, as asked for', async () => {
    expect(await firstNote({ inputScaling: '-1..1' })).toEqual([
      'Input scaling -1..1: as asked for by --input-scaling.',
      1,
    ])
    expect(await firstNote({ inputScaling: '0..1' })).toEqual([noScaling, 0])
  })

  test('is not said or added for a network of this library', async () => {
    expect(await firstNote({}, { isOfPatchMoe: true })).toEqual(['Kept the head of /models/one.', 0])
  })

  test('is not added twice', async () => {
    const scaled = () => {
      const model = nestedModel()
      const again = withInputScaling(model, 'caffe')
      disposeModel(model)
      return again
    }
    const note = 'Input scaling caffe: its layer input_scaling is there for it.'
    expect(await firstNote({}, {}, scaled())).toEqual([note, 1])
    expect(await firstNote({ inputScaling: 'caffe' }, { isOfPatchMoe: true }, scaled())).toEqual([note, 1])
    await expect(firstNote({ inputScaling: 'imagenet' }, {}, scaled())).rejects.toThrow(
      'train: --input-scaling must be left out or caffe for /models/one, of which its layer input_scaling is for that, got imagenet',
    )
  })

  test('follows the names of layers, says when another is asked for, and needs the channels for it', async () => {
    const named = (channels = 3) => {
      const conv = (name: string, more = {}) => tf.layers.conv2d({ name, filters: 2, kernelSize: 1, ...more })
      const layers = [conv('block1_conv2', { inputShape: [8, 8, channels] }), conv('block5_conv3')]
      return tf.sequential({
        layers: [
          ...layers,
          tf.layers.globalAveragePooling2d({}),
          tf.layers.dense({ units: 3, name: 'head' }),
        ],
      })
    }
    const reason = 'its layers are named as those of VGG, such as block1_conv2 and block5_conv3'
    expect(await firstNote({}, {}, named())).toEqual([
      `Input scaling caffe: recognised, ${reason} (--input-scaling names another).`,
      1,
    ])
    expect(await firstNote({ inputScaling: '0..1' }, {}, named())).toEqual([
      `Input scaling 0..1: as asked for, though ${reason}, which would be caffe.`,
      0,
    ])
    expect(chosenScaling(opened(of, named(1)), 'train')).toEqual({
      scaling: '0..1',
      isMissing: false,
      note: noScaling,
    })
    expect(() => chosenScaling(opened(of, named(1)), 'train', 'imagenet')).toThrow(
      'train: --input-scaling: images must have 3 channels for scaling imagenet, got 1',
    )
  })
})

test('takes images of another size, where the network allows it', async () => {
  const images = { ...numberedImages(8, 3, [6, 10, 3]), classNames: ['a', 'b', 'c'] }
  const { model, notes } = await initialNetwork(
    { ...opened(runOf('a', 'b', 'c')), isOfPatchMoe: true },
    options,
    images,
    1,
  )
  expect(model.inputs[0]?.shape).toEqual([null, 6, 10, 3])
  expect(notes).toEqual(['Takes images of 6x10 instead of 8x8x3.', 'Kept the head of /models/one.'])
  disposeModel(model)
})

test('gives other classes a new head, said plainly, and leaves nothing behind', async () => {
  const before = tf.memory().numTensors
  const { model, notes } = await initialNetwork(
    opened(runOf('a', 'b', 'c')),
    options,
    classes('a', 'b', 'd'),
    1,
  )
  expect(notes).toEqual([
    noScaling,
    'New head head with 3 outputs: the model knows a, b, c, the images are a, b, d.',
  ])
  disposeModel(model)
  const insert = { numExperts: 2, patchSize: 4, patchesPerExpert: 2 }
  const mixed = await initialNetwork(opened(), { ...options, insert }, classes('a', 'b'), 1)
  expect(mixed.notes[1]).toBe(
    'New head head with 2 outputs: the model tells 3 classes apart, the images have 2.',
  )
  expect(mixed.notes[2]).toMatch(
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
    'train: images must be 16x16x3 for the model of /models/vgg, got 8x8x3: withImageSize: layer head (Dense) must have weights for images of 8x8, got 256 inputs in the place of 64 behind flat',
  )
  const grey = { ...numberedImages(8, 3, [8, 8, 1]), classNames: ['a', 'b', 'c'] }
  await expect(initialNetwork(opened(), options, grey, 1)).rejects.toThrow(
    /^train: images must be 8x8x3 for the model of \/models\/one, got 8x8x1$/,
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
