import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { NetworkSize } from '../../bench/jobs.js'
import { buildNetwork, noiseBatch, trainingStep } from '../../bench/network.js'
import { measureComposing } from '../../bench/workloads/composing.js'
import { measureEpoch } from '../../bench/workloads/data-epoch.js'
import { measureRecords } from '../../bench/workloads/data-records.js'
import { measureDecoding } from '../../bench/workloads/decoding.js'
import { measureLayer } from '../../bench/workloads/layer.js'
import { measurePipeline } from '../../bench/workloads/pipeline.js'
import { measurePrediction } from '../../bench/workloads/prediction.js'
import { measurePruning } from '../../bench/workloads/pruning.js'
import { measureRegionFiles } from '../../bench/workloads/region-files.js'
import { measureRouted } from '../../bench/workloads/routed.js'
import { measureSamples } from '../../bench/workloads/samples.js'
import { measureTraining } from '../../bench/workloads/training.js'
import { useTestBackend } from '../backend-under-test.js'

const size: NetworkSize = {
  size: 16,
  classes: 4,
  widen: 1,
  experts: 4,
  keep: 2,
  patch: 2,
  kernel: 3,
}
const rounds = { backend: 'wasm', warmUp: 1, rounds: 2 } as const

beforeAll(async () => {
  await useTestBackend()
})

describe('trainingStep', () => {
  it('learns its batch and keeps no tensor', async () => {
    const step = trainingStep(buildNetwork('wrn-pmoe', size))
    const batch = noiseBatch(size, 4)
    const first = await step(batch)
    const before = tf.memory().numTensors
    for (let i = 0; i < 5; i++) await step(batch)
    expect(tf.memory().numTensors).toBe(before)
    expect(await step(batch)).toBeLessThan(first / 2)
  })
})

describe('the workloads', () => {
  it('time a training step and the largest convolutions', async () => {
    const { seconds, facts } = await measureTraining({
      workload: 'training',
      ...rounds,
      ...size,
      batch: 2,
      network: 'wrn',
      precision: 'float32',
      convolutions: true,
    })
    // 2 FLOP x 2 images x 16x16 pixels x 16 filters of 3x3x16; each group has one of that work.
    const flop = 2 * 2 * 256 * 16 * 144
    const largest = {
      'convolution 16x16x16 to 16x16x16, 3x3': flop,
      'convolution 8x8x32 to 8x8x32, 3x3': flop,
      'convolution 4x4x64 to 4x4x64, 3x3': flop,
    }
    expect(facts).toMatchObject(largest)
    expect(Object.keys(seconds).sort()).toEqual([...Object.keys(largest), 'step'].sort())
    expect(seconds.step).toHaveLength(2)
    // The published count of WRN-10-1 for 4 classes.
    expect(facts.parameters).toBe(78_548)
    expect(facts['last loss']).toBeLessThan(facts['first loss']!)
  })

  it('time the layer beside both convolutions and the masked form', async () => {
    const job = { side: 4, channels: 8, batch: 2, experts: 2, patch: 2, kernel: 1, keeps: [1, 4] }
    const { seconds, facts } = await measureLayer({ workload: 'layer', ...rounds, ...job })
    const names = ['conv 1x1', 'conv 3x3', 'masked 1', 'masked 4', 'moe 1', 'moe 4']
    expect(Object.keys(seconds).sort()).toEqual(names)
    expect(facts.patches).toBe(4)
  })

  it('time steps of a sample-level mixture, and both forms of its experts', async () => {
    const job = { samples: 40, patches: 2, width: 5, experts: 3, filters: 2, counts: [2, 4], block: 4 }
    const { seconds, facts } = await measureSamples({ workload: 'samples', ...rounds, ...job })
    expect(Object.keys(seconds).sort()).toEqual(['all 2', 'all 4', 'sorted 2', 'sorted 4', 'step'])
    // So few samples are not sorted by the layer itself.
    expect(facts).toEqual({ filters: 4, 'block 2': 0, 'block 4': 0 })
  })

  it.each(['routed', 'dense'] as const)('time steps of training on large images, %s', async network => {
    const job = { network, size: 64, batch: 2, classes: 3, cell: 16, keep: 2 }
    const { seconds, facts } = await measureRouted({ workload: 'routed', ...rounds, ...job })
    expect(seconds.step).toHaveLength(2)
    expect(seconds['step, processor']).toHaveLength(2)
    expect(facts['peak bytes']).toBeGreaterThan(facts['start bytes']! / 2)
    // Taps times channels and filters of three convolutions, at 1/4, 1/16 and 1/64 of the pixels, and 48 x 3 logits.
    const expert = (pixels: number) => 9 * pixels * ((3 * 12) / 4 + (12 * 24) / 16 + (24 * 48) / 64)
    if (network === 'dense') expect(facts['multiply-adds']).toBe(expert(64 * 64) + 48 * 3)
    else expect(facts['multiply-adds']).toBeGreaterThan(2 * expert(24 * 24))
  })

  it('time passes over files of large images, and the waiting in them', async () => {
    const job = { size: 64, images: 3, batch: 2, classes: 3, cell: 16, keep: 2 }
    const { seconds, facts } = await measureRegionFiles({ workload: 'region-files', ...rounds, ...job })
    const kinds = ['in memory', 'JPEG', 'PNG', 'tiled TIFF', 'tiled TIFF, with smaller pages']
    expect(Object.keys(seconds).sort()).toEqual([...kinds, ...kinds.map(kind => `${kind} waiting`)].sort())
    for (const kind of kinds) {
      seconds[kind]!.forEach((pass, i) => {
        expect(seconds[`${kind} waiting`]![i]).toBeLessThan(pass)
      })
    }
    expect(facts).toEqual({ images: 3 })
  })

  it('time prediction for every batch size', async () => {
    const { seconds, facts } = await measurePrediction({
      workload: 'prediction',
      ...rounds,
      ...size,
      batches: [1, 3],
    })
    expect(Object.keys(seconds).sort()).toEqual(['wrn 1', 'wrn 3', 'wrn-pmoe 1', 'wrn-pmoe 3'])
    // The mixture keeps half of the patches and has no second shortcut.
    expect(facts['wrn-pmoe']).toBeLessThan(facts.wrn!)
  })

  it('time a mixture before and after experts went', async () => {
    const { seconds, facts } = await measurePruning({
      workload: 'pruning',
      ...rounds,
      ...size,
      batches: [1, 3],
      expertsKept: 1,
    })
    expect(Object.keys(seconds).sort()).toEqual(['pruned 1', 'pruned 3', 'whole 1', 'whole 3'])
    for (const fact of ['FLOP', 'parameters', 'bytes']) {
      expect(facts[`pruned ${fact}`], fact).toBeLessThan(facts[`whole ${fact}`]!)
    }
    expect(facts['whole bytes']).toBeGreaterThan(4 * facts['whole parameters']!)
  })

  it('time the input pipeline', async () => {
    const before = tf.memory().numTensors
    const { seconds, facts } = await measurePipeline({
      workload: 'pipeline',
      ...rounds,
      ...size,
      batch: 3,
      composed: 8,
      images: 10,
      batchesTimed: 2,
    })
    expect(Object.keys(seconds)).toHaveLength(5)
    expect(facts).toEqual({ composed: 8, batches: 2 })
    // The weights of one network and one fixed batch stay.
    const weights = buildNetwork('wrn-pmoe', size).weights.length
    expect(tf.memory().numTensors - before).toBeLessThan(2 * weights + 10)
  })

  it('time decoding, alone and beside sharp', async () => {
    const { seconds, facts } = await measureDecoding({ workload: 'decoding', ...rounds, images: 3, side: 8 })
    expect(Object.keys(seconds).sort()).toEqual(['decode', 'sharp', 'sharp, 4 in flight'])
    expect(facts).toEqual({ images: 3 })
  })

  it('time composing', async () => {
    const { seconds, facts } = await measureComposing({ workload: 'composing', ...rounds, images: 25 })
    expect(Object.keys(seconds).sort()).toEqual(['backgrounds', 'patch grids', 'quadrants'])
    expect(facts).toEqual({ images: 25, 'patch grids': 3 })
  })

  it('time records, read by two readers', async () => {
    const { seconds, facts } = await measureRecords({ workload: 'records', ...rounds, records: 30 })
    expect(Object.keys(seconds).sort()).toEqual(['read', 'read by the package', 'read images', 'write'])
    // A record is 3072 bytes of pixels, its Example around them, and 16 bytes of length and checksums.
    expect(facts).toMatchObject({ records: 30, 'package records': 3 })
    expect(facts.bytes! / 30).toBeGreaterThan(3072 + 16)
    expect(facts.bytes! / 30).toBeLessThan(3072 + 16 + 200)
  })

  it('time epochs over prepared images, and the waiting in them', async () => {
    const job = { workload: 'epoch', ...rounds, ...size, batch: 3, images: 10, shuffleWindow: 4 } as const
    const { seconds, facts } = await measureEpoch(job)
    expect(facts).toEqual({ images: 10, batches: 4 })
    expect(seconds['a fixed batch']).toHaveLength(rounds.rounds)
    for (const name of ['in memory', 'streamed', 'streamed ahead']) {
      seconds[name]!.forEach((epoch, round) => {
        const waited = seconds[`${name} first`]![round]! + seconds[`${name} waiting`]![round]!
        expect(waited).toBeLessThan(epoch)
      })
    }
  })
})
