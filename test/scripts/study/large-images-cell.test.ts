import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Cell } from '../../../scripts/study/cell.js'
import type { MegapixelGrid } from '../../../scripts/study/grids/large-images-grid.js'
import { writeTaskFiles } from '../../../scripts/study/large-images/task-files.js'
import { taskRun } from '../../../scripts/study/large-images/task-run.js'
import { runCell } from '../../../scripts/study/run-cell.js'
import { gridOf, type StudyConfig, studyCells } from '../../../scripts/study/study-config.js'
import { type StudyFolder, startStudy } from '../../../scripts/study/study-folder.js'
import { type BackendChoice, useBackend } from '../../../src/backend/choose.js'
import { newFolder, smallStudy } from './small-study.js'

let backend: BackendChoice
beforeAll(async () => {
  backend = await useBackend('wasm')
})

const never = new AbortController().signal
const few = { samples: [8], testSamples: 6, variants: ['dense', 'view', 'routed, K = 4'] }
const task = {
  name: 'small',
  dataset: 'megapixel-digits',
  flags: { task: 'majority', imageSize: [48, 48], strokes: 2, gate: 'product' },
  ...few,
}

/** The study with few and small images and two steps. */
function fewImages(experiment: 'megapixel' | 'localise', changes: object = {}): StudyConfig {
  const { grid } = gridOf(experiment, 'small', false)
  const cost = { dataset: 'megapixel-digits', sides: [48], batch: 2, rounds: 1 }
  const small = {
    ...grid,
    tasks: [task],
    steps: 2,
    batchSize: 4,
    ...(grid.kind === 'megapixel' ? { cost } : { images: 3 }),
  }
  return {
    ...smallStudy(),
    experiment,
    seeds: 1,
    grid: small as StudyConfig['grid'],
    ...changes,
  } as StudyConfig
}

const cellOf = (folder: StudyFolder, variant: string): Cell =>
  studyCells(folder.config).find(cell => cell.variant === variant) as Cell

async function done(folder: StudyFolder, variant: string) {
  const cell = cellOf(folder, variant)
  const result = await runCell(folder, cell, backend, never)
  if (result.status !== 'done') throw new Error(`the cell must end well, got ${result.message}`)
  expect(await folder.result(cell.index)).toEqual(result)
  return result
}

describe('a cell of the study of large images', () => {
  it('trains a network on whole, on shrunken images and on patches, with the same layers', async () => {
    const folder = await startStudy(await newFolder(), fewImages('megapixel'))
    const [dense, view, routed] = [
      (await done(folder, 'dense')).onLargeImages!,
      (await done(folder, 'view')).onLargeImages!,
      (await done(folder, 'routed, K = 4')).onLargeImages!,
    ]
    // Eight images in steps of four: two steps are one epoch.
    for (const { steps, epochs } of [dense, view, routed]) expect([steps, epochs]).toEqual([2, 1])
    expect(dense.parameters).toBe(view.parameters)
    // Of 48x48 pixels and of 24x24, through maps of 24, 12, 6 and of 12, 6, 3 pixels.
    const convolutions = (side: number) =>
      9 * (side ** 2 * 12 + (side / 2) ** 2 * 12 * 24 + (side / 4) ** 2 * 24 * 48)
    expect(dense.multiplyAdds).toBe(convolutions(24) + 48 * 10)
    expect(view.multiplyAdds).toBe(convolutions(12) + 48 * 10)
    expect([dense.recall, view.recall]).toEqual([undefined, undefined])
    expect(routed.recall).toBeGreaterThanOrEqual(0)
    expect(routed.recalls).toHaveLength(1)
  })

  it('times the step of every network in turn, and leaves no tensor', async () => {
    const folder = await startStudy(await newFolder(), fewImages('megapixel'))
    await done(folder, 'cost')
    const before = tf.memory().numTensors
    const again = await startStudy(await newFolder(), fewImages('megapixel'))
    const { largeImageTimes } = await done(again, 'cost')
    expect(tf.memory().numTensors).toBe(before)
    expect(largeImageTimes?.map(({ variant }) => variant)).toEqual([
      'dense',
      'view',
      'routed, K = 1',
      'routed, K = 4',
    ])
    for (const { milliseconds } of largeImageTimes!) expect(milliseconds).toBeGreaterThan(0)
  })

  it('writes its images as files for other programs', async () => {
    const folder = await startStudy(await newFolder(), fewImages('megapixel'))
    const cell = cellOf(folder, 'routed, K = 4')
    const run = await taskRun(folder.config.grid as MegapixelGrid, cell, backend)
    const out = await newFolder()
    await writeTaskFiles(run, cell, out)
    const description = JSON.parse(await readFile(join(out, 'run.json'), 'utf8'))
    expect(description).toMatchObject({
      ...{ setting: 'small', samples: 8, seed: 1, epochs: 1, batchSize: 4, classes: 10, cell: 8, margin: 4 },
      ...{ viewScale: 2, maxShift: 4, patches: 5 },
      train: { shape: [8, 48, 48, 1], things: 5 },
      test: { shape: [6, 48, 48, 1], things: 5 },
    })
    const [images, labels, objects] = await Promise.all(
      ['images', 'labels', 'objects'].map(kind => readFile(join(out, `train.${kind}`))),
    )
    expect([images?.length, labels?.length, objects?.length]).toEqual([8 * 48 * 48, 8 * 4, 8 * 5 * 5 * 4])
    // The third image: its pixels, its class and its first thing, which decides the class.
    let image = 0
    for await (const { sources, labels: own, objects: things } of run.train.batches({ batchSize: 1 })) {
      if (image++ !== 2) continue
      expect(images!.subarray(2 * 48 * 48, 3 * 48 * 48)).toEqual(Buffer.from(await sources[0]!.view(1)))
      expect(labels!.readInt32LE(8)).toBe(own[0])
      const [top, left] = things![0]!.boxes
      const at = (place: number) => objects!.readInt32LE(4 * (2 * 25 + place))
      expect([at(0), at(1), at(2), at(3), at(4)]).toEqual([top, left, 8, 8, 1])
    }
  })

  it('judges where the networks look that another study has trained', async () => {
    const trained = await startStudy(await newFolder(), fewImages('megapixel'))
    const { onLargeImages } = await done(trained, 'dense')
    const data = trained.directory
    const folder = await startStudy(await newFolder(), fewImages('localise', { data }))
    const before = tf.memory().numTensors
    const { localised } = await done(folder, 'dense')
    expect(tf.memory().numTensors).toBe(before)
    expect(localised?.testAccuracy).toBe(onLargeImages?.testAccuracy)
    expect(localised?.images).toBe(3)
    expect(localised?.pointing.map(({ method }) => method)).toEqual(['dense: Grad-CAM', 'dense: occlusion'])
    // The routed network was not trained there.
    const missing = await runCell(folder, cellOf(folder, 'routed, K = 4'), backend, never)
    expect(missing).toMatchObject({
      status: 'failed',
      message: `study: --data must hold the trained network of small, routed, K = 4, 8 images, seed 1, got none in ${data}`,
    })
  })

  it('trains networks itself where no study has, and judges them', async () => {
    const folder = await startStudy(await newFolder(), fewImages('localise'))
    const { localised } = await done(folder, 'routed, K = 4')
    expect(localised?.pointing.map(({ method }) => method)).toEqual([
      'routed, K = 4: largest gate',
      'routed, K = 4: highest score',
    ])
    for (const { inside, near } of localised!.pointing) expect(near).toBeGreaterThanOrEqual(inside)
  })

  it('refuses networks that were trained otherwise', async () => {
    const trained = await startStudy(await newFolder(), fewImages('megapixel'))
    const config = fewImages('localise', { data: trained.directory })
    const longer = { ...config, grid: { ...config.grid, steps: 4 } } as StudyConfig
    const folder = await startStudy(await newFolder(), longer)
    const result = await runCell(folder, cellOf(folder, 'dense'), backend, never)
    expect(result).toMatchObject({ status: 'failed' })
    expect(result.status === 'failed' && result.message).toMatch(
      /^study: --data must be trained as this study trains, .*,4,4\], got .*,2,4\] \(/,
    )
  })
})
