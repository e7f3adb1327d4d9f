import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Variant } from '../../../scripts/experiments/experiment.js'
import { measureCell, nearlySquare } from '../../../scripts/study/cell-cost.js'
import { prepareCell, type TrainingStudy } from '../../../scripts/study/cell-run.js'
import { runCell } from '../../../scripts/study/run-cell.js'
import { studyCells } from '../../../scripts/study/study-config.js'
import { startStudy } from '../../../scripts/study/study-folder.js'
import { type BackendChoice, useBackend } from '../../../src/backend/choose.js'
import { newFolder, smallStudy } from './small-study.js'

let backend: BackendChoice
beforeAll(async () => {
  backend = await useBackend('wasm')
})

const never = new AbortController().signal

function withVariant(variant: Variant, flags: object = {}): TrainingStudy {
  const config = smallStudy()
  return {
    ...config,
    grid: { ...config.grid, variants: [variant], flags: { ...trainingFlags, ...flags } },
  }
}

const trainingFlags = { epochs: 2, batchSize: 10, testSamples: 30 }

describe('runCell', () => {
  it('gives the same numbers for the same cell, keeps them, and leaves no tensor', async () => {
    const directory = await newFolder()
    const folder = await startStudy(directory, smallStudy())
    const cell = studyCells(folder.config)[3]!
    const first = await runCell(folder, cell, backend, never)
    const before = tf.memory().numTensors
    const second = await runCell(folder, cell, backend, never)
    expect(tf.memory().numTensors).toBe(before)
    if (first.status !== 'done' || second.status !== 'done') throw new Error('the cell must end well')
    const { seconds: _, ...numbers } = first.trained!
    expect(second.trained).toMatchObject(numbers)
    // Two epochs of 40 images in batches of 10.
    expect([numbers.epochs, numbers.steps]).toEqual([2, 8])
    expect(numbers.routing?.recall).toHaveLength(3)
    expect(await folder.result(3)).toEqual(second)
    expect(await readdir(join(directory, 'cells/00003'))).toEqual([
      'config.json',
      'pictures.json',
      'result.json',
    ])
  })

  it('records what diverged, and what cannot be trained', async () => {
    const wide = { name: 'WRN', model: 'wrn', flags: {} } as const
    const diverging = await startStudy(await newFolder(), withVariant(wide, { widen: 1, lr: 1e30 }))
    const [cell] = studyCells(diverging.config)
    expect(await runCell(diverging, cell!, backend, never)).toMatchObject({
      status: 'failed',
      reason: 'diverged',
      message: expect.stringMatching(/^train: .* must be finite/),
    })
    const wrong = await startStudy(await newFolder(), withVariant({ ...wide, flags: { experts: 3 } }))
    expect(await runCell(wrong, cell!, backend, never)).toMatchObject({
      status: 'failed',
      reason: 'error',
      message:
        'train: --experts must be used with wrn-pmoe, two-layer-pmoe, sample-moe, sample-networks, routed, init, got model wrn',
    })
    expect(await wrong.result(0)).toMatchObject({ status: 'failed' })
  })

  it('keeps nothing of a cell that was stopped', async () => {
    const folder = await startStudy(await newFolder(), smallStudy())
    const stop = new AbortController()
    const running = runCell(folder, studyCells(folder.config)[0]!, backend, stop.signal)
    stop.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
    expect(await folder.result(0)).toBeUndefined()
  })
})

describe('prepareCell', () => {
  const mixture = { name: 'WRN', model: 'wrn-pmoe', flags: { widen: 1 } } as const

  it('draws other images for each seed, unless they share them', async () => {
    const study = smallStudy()
    const images = async (config: TrainingStudy, index: number) => {
      const { data, model } = await prepareCell(config, studyCells(config)[index]!, backend)
      model.dispose()
      return (data.train as { images: Uint8Array }).images
    }
    // Cells 0 and 4 are the CNN on 20 images, of seeds 1 and 2.
    const [first, second] = [await images(study, 0), await images(study, 4)]
    expect(second).not.toEqual(first)
    expect(await images({ ...study, sharedSubset: true }, 4)).toEqual(first)
  })

  it('draws routers of the deviation that is asked for, and sets what has no flag', async () => {
    const routers = async (variant: Variant) => {
      const config = withVariant(variant)
      const { model, config: run } = await prepareCell(config, studyCells(config)[0]!, backend)
      const router = model.weights.find(({ originalName }) => originalName.endsWith('/router'))!
      const values = await router.read().data()
      model.dispose()
      return { values, run, trainable: router.trainable }
    }
    const usual = await routers(mixture)
    const large = await routers({
      ...mixture,
      routerDeviation: 0.01,
      mixture: { routerTrainable: false, preActivation: 'relu' },
    })
    expect(large.values[0]! / usual.values[0]!).toBeCloseTo(100, 3)
    expect([usual.trainable, large.trainable]).toEqual([true, false])
    expect(large.run.model.options).toMatchObject({ pmoe: { routerTrainable: false, preActivation: 'relu' } })
  })

  it('refuses a deviation without routers, and a variant that is not there', async () => {
    const cnn = withVariant({ name: 'CNN', model: 'two-layer', flags: {} })
    const cell = studyCells(cnn)[0]!
    await expect(prepareCell(cnn, { ...cell, variant: 'RNN' }, backend)).rejects.toThrow(
      'study: variant must be one of CNN, got RNN (cell 0)',
    )
    const dense = withVariant({ ...mixture, model: 'wrn', routerDeviation: 1 })
    await expect(prepareCell(dense, studyCells(dense)[0]!, backend)).rejects.toThrow(
      'study: routerDeviation must come with routers, got a model without any',
    )
  })
})

describe('measureCell', () => {
  const grid = {
    kind: 'cost',
    batch: 2,
    patchSide: 2,
    hiddenUnits: 8,
    base: { l: 2, k: 2, n: 6 },
    rounds: 1,
    axes: [{ letter: 'l', values: [4] }],
  } as const

  it('counts multiply-adds and leaves no tensor', async () => {
    const cell = { index: 0, seed: 1, variant: 'pMoE', cost: { letter: 'l', value: 4 } } as const
    const before = tf.memory().numTensors
    const measured = await measureCell(grid, cell, never)
    expect(tf.memory().numTensors).toBe(before)
    // An image has n = 6 patches of d = 4. Forward: routers n k d = 48, hidden units l m d = 32 l, head m = 8. Backward:
    // kernels 32 l, routers on kept patches l k d = 8 l, hidden units through the head 8. Together 64 + 72 l.
    expect(measured.multiplyAdds).toBe(2 * (64 + 72 * 4))
    expect(measured.multiplyAddsRatio).toBeCloseTo(352 / 208)
    expect(measured.ratio).toBeGreaterThan(0)
  })

  it('ends between two passes', async () => {
    const stop = AbortSignal.abort(new Error('enough'))
    const cell = { index: 0, seed: 1, variant: 'pMoE' }
    await expect(measureCell(grid, cell, stop)).rejects.toThrow('enough')
  })

  it.each([
    [64, [8, 8]],
    [6, [2, 3]],
    [7, [1, 7]],
  ])('lays %i patches out in %j', (count, grid) => {
    expect(nearlySquare(count)).toEqual(grid)
  })
})
