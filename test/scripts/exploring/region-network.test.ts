import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, test } from 'vitest'
import type { ExploredImage } from '../../../scripts/run/exploring/explored-images.js'
import { RegionNetwork } from '../../../scripts/run/exploring/region-network.js'
import { buildRouted, type RoutedOptions } from '../../../scripts/run/network.js'
import { AnySizeModel, regionAnswers } from '../../../scripts/run/regions/region-answers.js'
import { arraySource } from '../../../src/data/regions/array-source.js'
import type { UnreadableImage } from '../../../src/data/unreadable-images.js'
import type { ImageAnswer } from '../../../src/explore/description.js'
import { random } from '../../../src/random.js'
import { useTestBackend } from '../../backend-under-test.js'

const options: RoutedOptions = {
  kind: 'routed',
  numExperts: 1,
  patchesPerExpert: 2,
  cellSize: 8,
  viewScale: 2,
  imageShape: [32, 32, 1],
}
const classNames = ['a', 'b', 'c']
const pixels = (() => {
  const source = random(3, 'pixels')
  return Uint8Array.from({ length: 32 * 48 }, () => Math.floor(source.next() * 256))
})()
let network: RegionNetwork
let opened: ConstructorParameters<typeof AnySizeModel>[0]

beforeAll(async () => {
  await useTestBackend()
  const { model } = buildRouted(options, { shape: [32, 32, 1], classNames }, 4)
  opened = { model, directory: 'run', config: { seed: 0, dataset: { classNames } } as never }
  const image = { regions: async () => arraySource(pixels, [32, 48, 1]), entry: { name: 'wide.png' } }
  const images = [image, { ...image, regions: async () => Promise.reject(new Error('no.png: no image')) }]
  const run = { opened, options, name: 'routed', classNames, parts: { channels: 1 } } as const
  network = new RegionNetwork(run, () => images as unknown as readonly ExploredImage[])
})

test('a network that reads images in parts is described with its boxes', () => {
  expect(network.description).toMatchObject({
    input: [32, 32, 1],
    mixtures: [],
    patches: { grid: [4, 4], trained: 2, most: 16, areOfImage: true, experts: [{ title: 'expert 1' }] },
  })
  const node = network.description.graph.nodes.find(({ mixture }) => mixture !== undefined)
  expect(node).toMatchObject({ className: 'PatchExperts', mixture: '1 expert keeps 2 of 16 patches' })
})

test('answers are those of predict, with another L as well, and boxes are shares of the image', async () => {
  for (const patchesPerExpert of [2, 5]) {
    const [answer, unread] = await network.answers([0, 1], { patchesPerExpert })
    const model = new AnySizeModel(opened, options, 'test', { patchesPerExpert })
    const expected = await model.answer('wide.png', arraySource(pixels, [32, 48, 1]))
    expect((answer as ImageAnswer).probabilities).toEqual([...expected.probabilities])
    const [kept] = (answer as ImageAnswer).experts
    expect(kept?.patches).toHaveLength(patchesPerExpert)
    const [top = 0, left = 0, height = 0, width = 0] = expected.experts[0]?.boxes[0] ?? []
    expect(kept?.boxes?.[0]).toEqual([top / 32, left / 48, height / 32, width / 48])
    expect(unread).toEqual({ problem: 'no.png: no image' })
  }
})

test('an image that breaks while it is read is closed, and named', async () => {
  let closed = 0
  const broken = {
    ...arraySource(pixels, [32, 48, 1]),
    view: () => Promise.reject(new Error('wide.png: no such strip')),
    close: async () => {
      closed++
    },
  }
  const unreadable: UnreadableImage[] = []
  const model = new AnySizeModel(opened, options, 'test')
  const answers = regionAnswers(model, [{ path: 'wide.png', open: async () => broken }], unreadable)
  expect(await answers.next()).toEqual({ done: true, value: undefined })
  expect(unreadable).toEqual([{ name: 'wide.png', reason: 'wide.png: no such strip' }])
  expect(closed).toBe(1)
})

test('what a slider passes does not stay in memory', async () => {
  const sizes = [2, 3, 4, 5, 6, 7]
  const ask = async () => {
    for (const patchesPerExpert of sizes) await network.answers([0], { patchesPerExpert })
    await expect(network.answers([0], { patchesPerExpert: 17 })).rejects.toThrow('got 17')
    return tf.memory().numTensors
  }
  const before = await ask()
  expect(await ask()).toBe(before)
  const [answer] = await network.answers([0], { patchesPerExpert: 2 })
  expect((answer as ImageAnswer).experts[0]?.patches).toHaveLength(2)
})

test('losses are those of an image whose kept patches are covered one by one, by brute force', async () => {
  const losses = await network.losses(0, {})
  const model = new AnySizeModel(opened, options, 'test')
  const whole = await model.answer('wide.png', arraySource(pixels, [32, 48, 1]))
  const predicted = whole.probabilities.indexOf(Math.max(...whole.probabilities))
  expect(losses.of).toBe('parts of the image')
  expect(losses.lost).toHaveLength(2)
  expect(losses.lost.every(Number.isFinite)).toBe(true)
  for (const [i, box] of (losses.boxes ?? []).entries()) {
    const [top, left, height, width] = [0, 1, 2, 3].map(
      side => (box[side] as number) * (side % 2 === 0 ? 32 : 48),
    )
    const region = Int32Array.from([top, left, height, width] as number[])
    const source = arraySource(pixels, [32, 48, 1])
    const patch = await source.regions(region)
    const mean = patch.reduce((sum, value) => sum + value, 0) / patch.length
    // The view stays as it is, and so does the choice: only this patch is read otherwise.
    const covered = {
      ...source,
      regions: async (boxes: Int32Array) => {
        const all = await source.regions(boxes)
        for (let kept = 0; kept < boxes.length / 4; kept++) {
          const isThis = region.every((side, axis) => side === boxes[4 * kept + axis])
          if (isThis) all.fill(Math.round(mean), kept * patch.length, (kept + 1) * patch.length)
        }
        return all
      },
    }
    const { probabilities } = await model.answer('wide.png', covered)
    const lost = (whole.probabilities[predicted] as number) - (probabilities[predicted] as number)
    // A byte of the mean is rounded here.
    expect(losses.lost[i]).toBeCloseTo(lost, 3)
  }
})

test('experts of it cannot be switched off', async () => {
  const off = [{ mixture: 'experts', expert: 0 }]
  await expect(network.answers([0], { off })).rejects.toThrow(
    new RangeError('explore: off must name no experts of a network that reads images in parts, got 1'),
  )
  await expect(network.answers([0], { patchesPerExpert: 17 })).rejects.toThrow(
    'explore: --patches-per-expert must be an integer in [1, 16], got 17',
  )
})
