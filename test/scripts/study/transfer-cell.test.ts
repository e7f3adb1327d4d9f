import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { experimentNamed } from '../../../scripts/experiments/experiments.js'
import type { TransferExperiment } from '../../../scripts/experiments/transfer-experiment.js'
import {
  bodyOf,
  comparedMaps,
  type TransferGrid,
  transferGrid,
} from '../../../scripts/study/grids/transfer-grid.js'
import { studyKind } from '../../../scripts/study/kinds/kinds.js'
import { runCell } from '../../../scripts/study/run-cell.js'
import { gridOf, type StudyConfig, studyCells } from '../../../scripts/study/study-config.js'
import { startStudy } from '../../../scripts/study/study-folder.js'
import { featureSets, ownBody, publishedBody, standardised } from '../../../scripts/study/transfer/bodies.js'
import { patchesOf, withComparedLayer } from '../../../scripts/study/transfer/compared-layer.js'
import { composeScenes, objectSide, type SceneParts } from '../../../scripts/study/transfer/scenes.js'
import { type BackendChoice, useBackend } from '../../../src/backend/choose.js'
import { newFolder, smallStudy } from './small-study.js'

let backend: BackendChoice
beforeAll(async () => {
  backend = await useBackend('wasm')
})

const never = new AbortController().signal

/** Things of one grey each: class c is 50 (c + 1), two of each; one background of 7. */
const parts: SceneParts = {
  things: {
    images: Uint8Array.from({ length: 6 * 12 }, (_, i) => 50 * (1 + (Math.floor(i / 12) % 3))),
    labels: Int32Array.of(0, 1, 2, 0, 1, 2),
    count: 6,
    shape: [2, 2, 3],
    classNames: ['a', 'b', 'c'],
  },
  backgrounds: { images: new Uint8Array(12).fill(7), count: 1, shape: [2, 2, 3] },
}

const scenes = (share: number, more: object = {}) =>
  composeScenes({ ...parts, targets: [2, 0], distractors: [1], share, side: 10, count: 6, seed: 3, ...more })

describe('scenes', () => {
  it('show the object whole, at the size of its share, over all that lies about', () => {
    for (const share of [0.04, 0.25, 0.5, 1]) {
      const { images, labels, objectBox, classNames } = scenes(share)
      expect(classNames).toEqual(['c', 'a'])
      expect([...labels]).toEqual([0, 1, 0, 1, 0, 1])
      const size = objectSide(share, 10)
      labels.forEach((label, i) => {
        const [top = 0, left = 0, height, width] = objectBox!.subarray(4 * i, 4 * i + 4)
        expect([height, width]).toEqual([size, size])
        for (let y = top; y < top + size; y++) {
          for (let x = left; x < left + size; x++) {
            expect(images[((i * 10 + y) * 10 + x) * 3]).toBe(label === 0 ? 150 : 50)
          }
        }
      })
    }
  })

  it('have nothing of another class than those that lie about', () => {
    const greys = (set: { images: Uint8Array }) => [...new Set(set.images)].sort((a, b) => a - b)
    expect(greys(scenes(0.04))).toEqual([7, 50, 100, 150])
    expect(greys(scenes(0.04, { distractors: [] }))).toEqual([7, 50, 150])
    expect(greys(scenes(1))).toEqual([50, 150])
  })

  it('are the first of more', () => {
    const few = scenes(0.25, { count: 2 }).images
    expect(scenes(0.25).images.subarray(0, few.length)).toEqual(few)
    expect(scenes(0.25, { seed: 4 }).images).not.toEqual(scenes(0.25).images)
  })
})

describe('the grid of a study of transfer', () => {
  const part = { body: 'pretrained', shares: [5, 10], samples: [25], maps: [8], kept: [25] } as const
  const grid = {
    ...(gridOf('transfer', 'small', false).grid as TransferGrid),
    parts: [part, { ...part, shares: [10], samples: [25, 100], maps: [4, 8], kept: [100, 6.25] }],
  }

  it('runs a cell once that two parts hold, and compares there what both ask for', () => {
    const cells = transferGrid.settings(grid)
    expect(cells.map(({ setting, samples }) => [setting, samples])).toEqual([
      ['5 %', 25],
      ['10 %', 25],
      ['10 %', 100],
    ])
    const maps = cells.map((cell, index) => comparedMaps(grid, { ...cell, index, seed: 1 }))
    expect(maps).toEqual([
      [{ side: 8, kept: [25] }],
      [
        { side: 4, kept: [6.25, 100] },
        { side: 8, kept: [6.25, 25, 100] },
      ],
      [
        { side: 4, kept: [6.25, 100] },
        { side: 8, kept: [6.25, 100] },
      ],
    ])
    expect(transferGrid.mostSettings(grid)).toBeGreaterThanOrEqual(cells.length)
  })

  it('refuses a body and a map that there is not', () => {
    expect(() => bodyOf({ variant: 'dense', index: 7 })).toThrow(
      new RangeError('study: variant must be one of pretrained; from scratch, got dense (cell 7)'),
    )
    expect(transferGrid.schema.safeParse(grid).success).toBe(true)
    const odd = { ...grid, parts: [{ ...part, maps: [6] }] }
    expect(transferGrid.schema.safeParse(odd).success).toBe(false)
  })
})

/** A network with a map of 32x32 and 6 channels, two of 16x16 and 4 channels, and one of 16x16 and 8. */
function published(): tf.LayersModel {
  const input = tf.input({ shape: [64, 64, 3] })
  const convolution = (name: string, filters: number, strides: number) =>
    tf.layers.conv2d({ name, filters, kernelSize: 3, strides, padding: 'same' })
  const layers = [
    convolution('half', 6, 4),
    convolution('narrow', 4, 2),
    convolution('last', 4, 1),
    convolution('wide', 8, 1),
    tf.layers.globalAveragePooling2d({ name: 'mean' }),
    tf.layers.dense({ units: 3 }),
  ]
  const output = layers.reduce((x, layer) => layer.apply(x) as tf.SymbolicTensor, input)
  return tf.model({ inputs: input, outputs: output, name: 'published' })
}

describe('bodies', () => {
  it('of a published network end at the last of the narrowest maps of a size', () => {
    const { maps, side } = publishedBody(published(), [32, 16])
    expect(side).toBe(128)
    expect(maps.map(({ side: map, layer, channels }) => [map, layer, channels])).toEqual([
      [32, 'half', 6],
      [16, 'last', 4],
    ])
    // 3 pixels; 3 of those, 4 apart; and 3 of those, 8 apart.
    expect(maps.map(({ field }) => field)).toEqual([3, 27])
    const half = 32 * 32 * 9 * 3 * 6
    expect(maps.map(({ multiplyAdds }) => multiplyAdds)).toEqual([half, half + 16 * 16 * 9 * (6 * 4 + 4 * 4)])
  })

  it('of a published network must have the map, and one input', () => {
    expect(() => publishedBody(published(), [8])).toThrow(
      new RangeError('study: --network must have a map of 8x8 on images of 128x128, got none (published)'),
    )
    const inner = published()
    const input = tf.input({ shape: [64, 64, 3] })
    const nested = tf.model({ inputs: input, outputs: inner.apply(input) as tf.SymbolicTensor })
    expect(() => publishedBody(nested, [32])).toThrow(
      new RangeError(
        'study: --network must have one input and no network within it, got the network published within it',
      ),
    )
    const other = tf.input({ shape: [64, 64, 3] })
    const sum = tf.layers.add().apply([input, other]) as tf.SymbolicTensor
    expect(() => publishedBody(tf.model({ inputs: [input, other], outputs: sum }), [32])).toThrow(
      new RangeError('study: --network must have one input and no network within it, got 2 inputs'),
    )
  })

  it('give the maps of all images, batch by batch', async () => {
    const body = ownBody([32, 8], 1)
    const images = {
      ...scenes(0.25, { side: 64, count: 33 }),
    }
    const [large, small] = await featureSets(body, images, never)
    expect([large?.shape, small?.shape]).toEqual([
      [32, 32, 16],
      [8, 8, 32],
    ])
    const last = await featureSets(
      body,
      {
        ...images,
        images: images.images.subarray(32 * 64 * 64 * 3),
        labels: images.labels.subarray(32),
        count: 1,
      },
      never,
    )
    const tail = small!.images.subarray(32 * 8 * 8 * 32)
    expect(tail.length).toBe(last[1]!.images.length)
    tail.forEach((value, i) => {
      expect(value).toBeCloseTo(last[1]!.images[i] as number, 4)
    })
  })

  it('are standardised by the images of training alone', () => {
    const set = (images: number[]) => ({
      images: Float32Array.from(images),
      labels: Int32Array.of(0),
      count: 1,
      shape: [1, images.length / 2, 2] as const,
      classNames: ['a'],
    })
    // Channel 0: 1, 3, so mean 2 and deviation 1; channel 1 is constant.
    const { train, test } = standardised(set([1, 5, 3, 5]), set([4, 7]))
    expect([train, test].map(({ images }) => [...images])).toEqual([
      [-1, 0, 1, 0],
      [2, 2],
    ])
  })
})

describe('the compared layer', () => {
  it('routes cells of small maps and blocks of large ones', () => {
    expect([4, 8, 16, 32].map(patchesOf)).toEqual([
      { patchSize: 1, patches: 16 },
      { patchSize: 1, patches: 64 },
      { patchSize: 2, patches: 64 },
      { patchSize: 4, patches: 64 },
    ])
  })

  it('is, with every patch kept and gates of 1, the dense layer with the same weights', () => {
    const build = (kept?: number) => {
      const input = tf.input({ shape: [8, 8, 5] })
      return withComparedLayer(input, input, kept === undefined ? {} : { kept }, { numClasses: 3, seed: 4 })
    }
    const x = tf.randomNormal([2, 8, 8, 5], 0, 1, 'float32', 1)
    const [dense, mixture] = [build(), build(100)].map(model => (model.predict(x) as tf.Tensor).dataSync())
    // Routers start near 0, so that gates are within 1e-3 of 1.
    dense!.forEach((value, i) => {
      expect(mixture![i]).toBeCloseTo(value as number, 2)
    })
  })
})

describe('a cell of the study of transfer', () => {
  const short = { steps: 2, leastEpochs: 1, batchSize: 8 }
  const tiny = { ...short, learningRates: { dense: 1e-3, mixture: 1e-3 } }
  const grid: TransferGrid = {
    kind: 'transfer',
    parts: [
      { body: 'pretrained', shares: [25], samples: [8], maps: [4, 8], kept: [25] },
      { body: 'from scratch', shares: [25], samples: [8], maps: [4], kept: [100] },
    ],
    testSamples: 4,
    training: { pretrained: tiny, 'from scratch': tiny },
    pretraining: { ...short, learningRate: 1e-3, samples: 8 },
  }
  const study = (changes: Partial<StudyConfig> = {}): StudyConfig =>
    ({ ...smallStudy(), experiment: 'transfer', seeds: 1, grid, ...changes }) as StudyConfig

  it('trains every layer on the same maps, with the same first weights', async () => {
    const folder = await startStudy(await newFolder(), study(), { force: false, shared: false })
    const results = []
    for (const cell of studyCells(folder.config)) {
      const result = await runCell(folder, cell, backend, never)
      if (result.status !== 'done') throw new Error(`the cell must end well, got ${result.message}`)
      expect(await folder.result(cell.index)).toEqual(result)
      results.push(result.transferred!)
    }
    const [frozen, scratch] = results
    expect(frozen?.layers.map(({ map, kept, after }) => [map, kept, after])).toEqual([
      [8, undefined, 'relu3'],
      [8, 25, 'relu3'],
      [4, undefined, 'relu4'],
      [4, 25, 'relu4'],
    ])
    expect(scratch?.layers.map(({ map, kept }) => [map, kept])).toEqual([
      [4, undefined],
      [4, 100],
    ])
    // By hand: a 1x1 layer of 64 filters on 8x8 cells of 32 channels, and 64 to 4 classes.
    expect(frozen?.layers[0]?.layerMultiplyAdds).toBe(8 * 8 * 32 * 64 + 64 * 4)
    expect(scratch?.layers[0]?.multiplyAdds).toBe(frozen?.layers[2]?.multiplyAdds)
    expect(frozen?.layers.every(({ steps }) => steps === 2)).toBe(true)
  })

  it('takes the pretrained network of a folder, and says its name', async () => {
    const directory = join(await newFolder(), 'published')
    await mkdir(directory)
    const { network } = study({ network: directory })
    const { kind, experiment } = studyKind(study())
    expect(() => kind.checkFiles(experiment, study({ network: directory }))).toThrow(
      `study: --network must be the folder of a tfjs network, got ${network}, which holds no model.json`,
    )
    await writeFile(join(directory, 'model.json'), '{}')
    expect(() => kind.checkFiles(experiment, study({ network: directory }))).not.toThrow()
    expect(() => kind.checkFiles(experiment, study({ data: '/' }))).toThrow(
      'study: --data and --stand-in must be left out for transfer: it takes images of the package',
    )
    expect(kind.dataSentence(experiment, study())).toContain(
      (experimentNamed('transfer') as TransferExperiment).ownNetwork,
    )
    expect(kind.dataSentence(experiment, study({ network: directory }))).not.toContain(
      'The pretrained network',
    )
  })
})
