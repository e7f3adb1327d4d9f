import * as tf from '@tensorflow/tfjs'
import type * as tfl from '@tensorflow/tfjs-layers'
import { beforeAll, describe, expect, test } from 'vitest'
import { explain } from '../../src/explain/explain.js'
import { occlusion } from '../../src/explain/occlusion.js'
import type { ImageAnswer } from '../../src/explore/description.js'
import { Explorer, MOST_IMAGES, QuestionError } from '../../src/explore/explorer.js'
import { labelOfPath } from '../../src/explore/label-of-path.js'
import { WholeNetwork } from '../../src/explore/whole-network.js'
import { setPatchesPerExpert } from '../../src/layers/moe/routing-layers.js'
import { pruneExperts } from '../../src/prune/prune-experts.js'
import { predictProbabilities } from '../../src/train/evaluate.js'
import { useTestBackend } from '../backend-under-test.js'
import { coloured, colours, shape, trainedMixture } from './small-mixture.js'

let model: tfl.LayersModel
let explorer: Explorer
const count = 4

beforeAll(async () => {
  await useTestBackend()
  model = await trainedMixture()
  explorer = new Explorer(() => explored(model))
})

function explored(of: tfl.LayersModel) {
  const read = async (image: number) => {
    if (image === count) throw new Error('no.png: file must be an image')
    return coloured(100 + image)
  }
  const network = new WholeNetwork({ model: of, source: 'here', name: 'small', classNames: colours, read })
  const images = Array.from({ length: count + 1 }, (_, i) => ({ name: `${i}.png` }))
  return { networks: [network], images, notes: [] }
}

const pixels = () => {
  const all = new Uint8Array(count * 768)
  for (let i = 0; i < count; i++) all.set(coloured(100 + i), i * 768)
  return all
}
const answers = (setting: object, images = [0, 1, 2, 3]) =>
  explorer.ask({ ask: 'answers', network: 0, images, setting }) as Promise<readonly ImageAnswer[]>
const expectClose = (got: readonly number[], expected: ArrayLike<number>) => {
  expect(got).toHaveLength(expected.length)
  got.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i] as number, 5)
  })
}

describe('answers', () => {
  test('are what explain says, with L of training and with another', async () => {
    for (const setting of [{}, { patchesPerExpert: 5 }]) {
      const got = await answers(setting)
      if (setting.patchesPerExpert !== undefined) setPatchesPerExpert(model, 5, 'test')
      const { images } = await explain(model, pixels(), shape, { sensitivity: false })
      setPatchesPerExpert(model, 2, 'test')
      for (const [i, { probabilities, predicted, experts }] of images.entries()) {
        expectClose(got[i]?.probabilities ?? [], probabilities)
        expect(got[i]).toMatchObject({ predicted, experts: experts.map(({ patches }) => ({ patches })) })
      }
    }
  })

  test('with an expert off are those of the network that is pruned of it without compensation', async () => {
    const { model: pruned, receipts } = await pruneExperts(model, { criterion: 'random', keep: 1 })
    const kept = Number(receipts[0]?.kept[0])
    const got = await answers({ off: [{ mixture: 'mixture', expert: 1 - kept }] })
    const rows = await predictProbabilities(pruned, pixels(), shape)
    for (const [i, row] of rows.entries()) expectClose(got[i]?.probabilities ?? [], row)
    const whole = await answers({})
    expect(got.map(({ probabilities }) => probabilities)).not.toEqual(
      whole.map(({ probabilities }) => probabilities),
    )
  })

  test('name an image that cannot be read, and say the others', async () => {
    const got = await answers({}, [0, 4, 1])
    expect(got[1]).toEqual({ problem: 'no.png: file must be an image' })
    const alone = await answers({}, [0, 1])
    expectClose((got[2] as ImageAnswer).probabilities, (alone[1] as ImageAnswer).probabilities)
  })

  test('say of an image of another size that it does not fit, and say the others', async () => {
    const read = async (image: number) => (image === 1 ? new Uint8Array(3072) : coloured(100 + image))
    const network = new WholeNetwork({ model, source: 'here', name: 'small', classNames: colours, read })
    const [first, other, third] = await network.answers([0, 1, 2], {})
    const expected = await answers({}, [0, 2])
    expectClose((first as ImageAnswer).probabilities, expected[0]?.probabilities ?? [])
    expectClose((third as ImageAnswer).probabilities, expected[1]?.probabilities ?? [])
    const problem = 'explore: image must have the 16x16x3 values that the network takes, got 3072'
    expect(other).toEqual({ problem })
    await expect(network.losses(1, {})).rejects.toThrow(new RangeError(problem))
  })

  test('come one after the other, and what a question sets is gone after it', async () => {
    const [few, many, before] = await Promise.all([
      answers({ patchesPerExpert: 1 }),
      answers({ patchesPerExpert: 9, off: [{ mixture: 'mixture', expert: 0 }] }),
      answers({}),
    ])
    expect(few?.[0]?.experts[0]?.patches).toHaveLength(1)
    expect(many?.[0]?.experts[0]?.patches).toHaveLength(9)
    expect(await answers({})).toEqual(before)
  })
})

describe('losses', () => {
  test('are those of explain for patches that are places of the picture', async () => {
    const got = await explorer.ask({ ask: 'losses', network: 0, image: 1, setting: {} })
    const { images } = await explain(model, coloured(101), shape)
    expect(got).toMatchObject({ grid: [4, 4], of: 'patches of the map' })
    expectClose(got.lost, images[0]?.sensitivity ?? [])
  })

  test('of a network without a mixture are those of covered parts, by brute force', async () => {
    const plain = tf.sequential({
      layers: [
        tf.layers.conv2d({ filters: 4, kernelSize: 3, inputShape: [...shape], activation: 'relu' }),
        tf.layers.globalAveragePooling2d({}),
        tf.layers.dense({ units: 2 }),
      ],
    })
    const { networks } = explored(plain)
    expect(networks[0]?.description).toMatchObject({ mixtures: [], classNames: ['red', 'green'] })
    expect(networks[0]?.description.patches).toBeUndefined()
    const got = await networks[0]?.losses(0, {})
    expect(got).toMatchObject({ grid: [8, 8], of: 'parts of the image' })
    const image = coloured(100)
    const [whole] = (await predictProbabilities(plain, image, shape)) as [Float32Array]
    const predicted = whole.indexOf(Math.max(...whole))
    const mean = [0, 1, 2].map(channel => {
      const values = image.filter((_, i) => i % 3 === channel)
      return Math.round(values.reduce((sum, value) => sum + value, 0) / values.length)
    })
    for (const cell of [0, 9, 63]) {
      const covered = image.slice()
      for (let i = 0; i < covered.length; i++) {
        const [y, x] = [Math.floor(i / 48), Math.floor(i / 3) % 16]
        if (Math.floor(y / 2) * 8 + Math.floor(x / 2) === cell) covered[i] = mean[i % 3] as number
      }
      const [row] = (await predictProbabilities(plain, covered, shape)) as [Float32Array]
      expect(got?.lost[cell]).toBeCloseTo((whole[predicted] ?? 0) - (row[predicted] ?? 0), 5)
    }
    const { grid, lost } = await occlusion(plain, image, shape, { cells: [2, 1] })
    expect({ grid, length: lost.length }).toEqual({ grid: [2, 1], length: 2 })
  })

  test('of a picture of few pixels are those of its pixels', async () => {
    const pixels = tf.sequential({
      layers: [
        tf.layers.flatten({ inputShape: [2, 3, 1] }),
        tf.layers.dense({
          units: 2,
          weights: [
            tf.tensor2d([
              [1, 0],
              [0, 1],
              [0, 2],
              [0, 0],
              [0, 0],
              [0, 0],
            ]),
            tf.zeros([2]),
          ],
        }),
      ],
    })
    const image = Float32Array.from([0, 3, 0, 0, 0, 0])
    const { grid, lost } = await occlusion(pixels, image, [2, 3, 1])
    const share = (first: number, second: number) => 1 / (1 + Math.exp(first - second))
    expect(grid).toEqual([2, 3])
    // Each pixel in turn becomes the mean, 0.5.
    const logits = [
      [0.5, 3],
      [0, 0.5],
      [0, 4],
      [0, 3],
      [0, 3],
      [0, 3],
    ] as const
    expectClose(
      [...lost],
      logits.map(([a, b]) => share(0, 3) - share(a, b)),
    )
  })
})

test('a network is described with its mixture, its cost and what a patch sees', async () => {
  const { networks } = await explorer.ask({ ask: 'contents' })
  const [network] = networks
  expect(network?.patches).toMatchObject({ grid: [4, 4], trained: 2, most: 16 })
  expect(network?.patches?.experts).toEqual([
    { title: 'expert 1', place: { mixture: 'mixture', expert: 0 } },
    { title: 'expert 2', place: { mixture: 'mixture', expert: 1 } },
  ])
  // The patches are of the image itself.
  expect(network?.patches?.sight).toMatchObject({ pixels: [4, 4], share: 1 / 16 })
  expect(network?.patches?.sight?.boxes[5]).toEqual([0.25, 0.25, 0.5, 0.5])
  expect(network?.graph.nodes.map(({ path }) => path)).toEqual([
    'image',
    'mixture',
    'active',
    'mean',
    'logits',
  ])
  expect(network?.graph.nodes[1]?.mixture).toBe('2 experts, each keeps 2 of 16 patches')
  expect(network?.graph.edges).toEqual([
    [0, 1],
    [1, 2],
    [2, 3],
    [3, 4],
  ])
})

describe('questions that cannot be answered', () => {
  const wrong = (question: unknown) =>
    explorer.ask(question).then(
      () => 'answered',
      error => String(error),
    )

  test('say what is wrong', async () => {
    const ask = { ask: 'answers', network: 0, images: [0], setting: {} }
    expect(await wrong({ ...ask, network: 1 })).toBe(
      'QuestionError: explore: network must be an integer in [0, 0], got 1',
    )
    expect(await wrong({ ...ask, images: [5] })).toBe(
      'QuestionError: explore: image must be an integer in [0, 4], got 5',
    )
    expect(await wrong({ ...ask, setting: { patchesPerExpert: 17 } })).toBe(
      'RangeError: explore: patchesPerExpert must be an integer in [1, 16], got 17 (layer mixture of small chooses from 16 patches)',
    )
    const off = (mixture: string, expert: number) =>
      wrong({ ...ask, setting: { off: [{ mixture, expert }] } })
    expect(await off('mixture', 2)).toBe(
      'RangeError: explore: expert must be an integer in [0, 1], got 2 (mixture mixture)',
    )
    expect(await off('other', 0)).toBe(
      'RangeError: explore: layer must be a mixture of the model (mixture), got "other"',
    )
    for (const question of [
      undefined,
      'contents',
      { ask: 'files' },
      { ...ask, images: [-1] },
      { ...ask, images: [0.5] },
      { ...ask, images: [] },
      { ...ask, images: new Array(MOST_IMAGES + 1).fill(0) },
      { ...ask, path: '/etc/passwd' },
      { ...ask, setting: { patchesPerExpert: 0 } },
    ]) {
      await expect(explorer.ask(question)).rejects.toThrow(QuestionError)
      expect(await wrong(question)).toMatch(
        /^QuestionError: explore: question must be one that is known, got: /,
      )
    }
    // Nothing of it is left.
    expect(await answers({})).toHaveLength(4)
  })

  test('are not computed where whoever asked is gone', async () => {
    const gone = new AbortController()
    const asked = explorer.ask({ ask: 'contents' }, gone.signal)
    gone.abort(new Error('gone'))
    await expect(asked).rejects.toThrow('gone')
  })
})

test.each([
  ['a/Red/1.png', 'red'],
  ['a\\green\\1.png', 'green'],
  ['red/blue/1.png', 'blue'],
  ['red.png', undefined],
  ['other/1.png', undefined],
])('the path %s tells the class %s', (path, label) => {
  expect(labelOfPath(path, colours)).toBe(label)
})

test('a network is freed when what was asked of it is answered', async () => {
  const before = tf.memory().numTensors
  const dense = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [...shape], filters: 4, kernelSize: 3, activation: 'relu' }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: colours.length, activation: 'softmax' }),
    ],
  })
  const { networks, ...rest } = explored(dense)
  const own = new Explorer(() => ({ networks, ...rest }))
  const [[answer]] = await Promise.all([
    own.ask({ ask: 'answers', network: 0, images: [0], setting: {} }),
    own.inTurn(() => networks[0]?.dispose()),
  ])
  expect((answer as ImageAnswer).probabilities).toHaveLength(colours.length)
  expect(tf.memory().numTensors).toBe(before)
})
