import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { runCell } from '../../../scripts/study/run-cell.js'
import { gridOf, type StudyConfig, studyCells } from '../../../scripts/study/study-config.js'
import { startStudy } from '../../../scripts/study/study-folder.js'
import { type BackendChoice, useBackend } from '../../../src/backend/choose.js'
import { newFolder, smallStudy } from './small-study.js'

let backend: BackendChoice
beforeAll(async () => {
  backend = await useBackend('wasm')
})

const never = new AbortController().signal

/** The study with few samples and 30 steps. */
function fewSamples(): StudyConfig {
  const { grid } = gridOf('clusters', 'full', false)
  if (grid.kind !== 'clusters') throw new Error('clusters must have a grid of its kind')
  const variants = grid.variants.map(variant => ({ ...variant, flags: { ...variant.flags, epochs: 30 } }))
  const changes = { samples: 200, testSamples: 100, entropySteps: 10, variants }
  return { ...smallStudy(), experiment: 'clusters', seeds: 2, grid: { ...grid, ...changes } }
}

describe('a cell of the study of clusters', () => {
  it('trains a mixture, measures its routing with and without noise, and leaves no tensor', async () => {
    const folder = await startStudy(await newFolder(), fewSamples())
    const cell = studyCells(folder.config).find(({ variant }) => variant === 'MoE nonlinear')!
    const first = await runCell(folder, cell, backend, never)
    const before = tf.memory().numTensors
    const second = await runCell(folder, cell, backend, never)
    expect(tf.memory().numTensors).toBe(before)
    if (first.status !== 'done' || second.status !== 'done') throw new Error('the cell must end well')
    const { seconds: _, ...numbers } = first.clustered!
    expect(second.clustered).toMatchObject(numbers)
    expect(numbers.steps).toBe(30)
    expect(numbers.entropies?.map(({ step }) => step)).toEqual([1, 11, 21])
    const routings = [numbers.routing, numbers.noisyRouting, numbers.trainRouting]
    const sent = routings.map(routing => routing?.counts.flat().reduce((sum, count) => sum + count, 0))
    expect(sent).toEqual([100, 100, 200])
    expect(await folder.result(cell.index)).toEqual(second)
  })

  it('trains a single network, which has no routing', async () => {
    const folder = await startStudy(await newFolder(), fewSamples())
    const cell = studyCells(folder.config).find(({ variant }) => variant === 'single linear')!
    const result = await runCell(folder, cell, backend, never)
    if (result.status !== 'done') throw new Error(`the cell must end well, got ${result.message}`)
    // 2 x 40 filters of 50 numbers and a bias, and the one router that a single network does not use.
    expect(result.clustered?.parameters).toBe(80 * 51 + 50)
    expect(result.clustered).not.toHaveProperty('routing')
  })

  it('runs variants in the settings that they name', () => {
    const settings = (variant: string) =>
      studyCells(fewSamples()).flatMap(cell =>
        cell.variant === variant && cell.seed === 2 ? [cell.setting] : [],
      )
    expect(settings('MoE nonlinear')).toEqual(['S1', 'S3', 'S2', 'S4'])
    expect(settings('MoE nonlinear, balanced')).toEqual(['S1'])
  })
})
