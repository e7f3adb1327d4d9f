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
const stage = { samples: 24, epochs: 1, batchSize: 12, learningRate: 0.1 }

/** The study with few images, two criteria and four experts at most. */
function fewImages(): StudyConfig {
  const { grid } = gridOf('pruning', 'small', false)
  if (grid.kind !== 'pruning') throw new Error('pruning must have a grid of its kind')
  const stages = { pretraining: stage, fineTuning: stage, testSamples: 20 }
  return {
    ...smallStudy(),
    experiment: 'pruning',
    seeds: 1,
    grid: {
      ...grid,
      criteria: ['router-norm', 'random'],
      patterns: { ...grid.patterns, experts: 4, hiddenUnits: 8, ...stages },
      photographs: { ...grid.photographs, ...stages, afterwards: stage, kept: [4, 2], randomDraws: 2 },
      latencyRounds: 1,
    },
  }
}

async function prunedBy(variant: string) {
  const folder = await startStudy(await newFolder(), fewImages())
  const cell = studyCells(folder.config).find(each => each.variant === variant)!
  const result = await runCell(folder, cell, backend, never)
  if (result.status !== 'done') throw new Error(`the cell must end well, got ${result.message}`)
  expect(await folder.result(cell.index)).toEqual(result)
  return result.pruned!
}

describe('a cell of the study of pruning', () => {
  it('prunes patterns down to one expert, by every criterion', async () => {
    const { patterns } = await prunedBy('patterns')
    expect(patterns?.criteria.map(({ criterion }) => criterion)).toEqual(['router-norm', 'random'])
    for (const { accuracies, scores } of patterns!.criteria) {
      expect([accuracies.length, scores.length]).toEqual([4, 4])
      // With all experts it is the network that was not pruned.
      expect(accuracies[0]).toBe(patterns!.accuracy)
    }
  })

  it('prunes photographs, trains on, and leaves no tensor', async () => {
    await prunedBy('photographs')
    const before = tf.memory().numTensors
    const { photographs } = await prunedBy('photographs')
    expect(tf.memory().numTensors).toBe(before)
    const { cuts, accuracy, panel } = photographs!
    expect(cuts.map(({ criterion, draw, keep }) => [criterion, draw, keep])).toEqual([
      ['router-norm', undefined, 4],
      ['router-norm', undefined, 2],
      ['random', 1, 4],
      ['random', 1, 2],
      ['random', 2, 4],
      ['random', 2, 2],
    ])
    expect(panel.map(({ scores }) => scores.length)).toEqual([4, 4, 4])
    for (const { keep, kept, before: accuracyBefore, difference, parameters } of cuts) {
      expect(kept).toHaveLength(keep)
      if (keep === 4) expect(accuracyBefore).toBe(accuracy)
      expect(difference).toBeLessThan(1e-5)
      expect(parameters).toBe(cuts[keep === 4 ? 0 : 1]!.parameters)
    }
    expect(cuts[1]!.parameters).toBeLessThan(cuts[0]!.parameters)
    // A network that has two experts from the start is as large as one that was pruned to two.
    const { fromStart } = await prunedBy('from the start')
    expect(fromStart).toMatchObject({
      parameters: cuts[1]!.parameters,
      multiplyAdds: cuts[1]!.multiplyAdds,
    })
  })

  it('times every number of experts with one image and with 64', async () => {
    const { latencies } = await prunedBy('latency')
    expect(latencies?.map(({ keep, batch }) => [keep, batch])).toEqual([
      [4, 1],
      [2, 1],
      [4, 64],
      [2, 64],
    ])
    for (const { milliseconds } of latencies!) expect(milliseconds).toBeGreaterThan(0)
  })
})
