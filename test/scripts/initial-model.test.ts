import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, test } from 'vitest'
import { imageSizeOf, initialNetwork } from '../../scripts/run/initial-model.js'
import { buildNetwork } from '../../scripts/run/network.js'
import type { RunConfig } from '../../src/files/run-config.js'
import { PatchMoE } from '../../src/layers/moe/patch-moe.js'
import { disposeModel } from '../../src/models/dispose-model.js'
import { useTestBackend } from '../backend-under-test.js'
import { nestedModel, siameseModel, vggLike } from '../models/example-models.js'

beforeAll(async () => {
  await useTestBackend()
})

const options = { kind: 'init', from: '/models/one' } as const
const classes = (...classNames: string[]) => ({ shape: [8, 8, 3] as const, classNames })
const runOf = (...classNames: string[]) => ({ dataset: { classNames } }) as unknown as RunConfig
const opened = (config?: RunConfig) => ({
  model: nestedModel(),
  directory: '/models/one',
  ...(config && { config }),
})

test('keeps the head for the classes of the run, and where nobody knows others', async () => {
  for (const config of [undefined, runOf('a', 'b', 'c')]) {
    const of = opened(config)
    const head = [...(of.model.getLayer('head').getWeights()[0]?.dataSync() ?? [])]
    const { model, notes } = await initialNetwork(of, options, classes('a', 'b', 'c'), 1)
    expect(notes).toEqual(['Kept the head of /models/one.'])
    expect([...(model.getLayer('head').getWeights()[0]?.dataSync() ?? [])]).toEqual(head)
    disposeModel(model)
  }
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
  expect(mixed.notes[1]).toMatch(/^2 experts in the place of backbone\/conv: with all 4 patches/)
  expect((mixed.model.getLayer('backbone') as tf.LayersModel).getLayer('conv')).toBeInstanceOf(PatchMoE)
  disposeModel(mixed.model)
  expect(tf.memory().numTensors).toBe(before)
})

test('says what does not fit', async () => {
  const refuses = (of: Parameters<typeof initialNetwork>[0], how: typeof options, message: string) =>
    expect(initialNetwork(of, how, classes('a', 'b', 'c'), 1)).rejects.toThrow(message)
  await refuses(
    { model: vggLike(), directory: '/models/vgg' },
    options,
    'train: images must be 16x16x3 for the model of /models/vgg, got 8x8x3',
  )
  const insert = { numExperts: 3, patchSize: 1, patchesPerExpert: 2 }
  await refuses(
    opened(),
    { ...options, insert } as never,
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
