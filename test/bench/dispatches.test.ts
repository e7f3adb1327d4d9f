import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { countDispatches, totalOf } from '../../bench/dispatch-counter.js'
import type { NetworkKind } from '../../bench/jobs.js'
import { buildNetwork, noiseBatch } from '../../bench/network.js'
import { useBackend } from '../../src/backend/choose.js'
import { lossOf } from '../../src/train/loss.js'
import { createOptimizer } from '../../src/train/optimizers/optimizer.js'
import type { OptimizerOptions } from '../../src/train/optimizers/optimizer-options.js'
import { stepPenalty, weightDecays } from '../../src/train/optimizers/parameter-groups.js'
import { takeStep } from '../../src/train/step.js'

// Dawn's null device is given what a card would be given, and computes nothing.
beforeAll(async () => {
  await useBackend('webgpu', { webgpu: ['backend=null'] })
})

const size = { size: 32, classes: 10, widen: 1, experts: 4, keep: 16, patch: 1, kernel: 1 }
const wrn = { kind: 'wrn', size } as const
const mixture = { kind: 'wrn-pmoe', size } as const
const mixtureOf3x3 = { kind: 'wrn-pmoe', size: { ...size, patch: 4, keep: 2, kernel: 3 } } as const

describe('a training step of WRN-10-1 is at most 180 dispatches:', () => {
  test.each([
    [wrn, { name: 'sgd', learningRate: 0.1 }],
    [wrn, { name: 'momentum', learningRate: 0.1 }],
    [wrn, { name: 'adamw', learningRate: 0.1 }],
    [wrn, { name: 'adamw', learningRate: 0.1, clipNorm: 1, l2: 0.1 }],
    [mixture, { name: 'momentum', learningRate: 0.1 }],
    [mixture, { name: 'adamw', learningRate: 0.1 }],
    [mixtureOf3x3, { name: 'momentum', learningRate: 0.1 }],
  ] as const)('%j by %j', async (network, options) => {
    const step = stepOf(network, options)
    // Weights and slots are made on the device at the first one.
    await step()
    const counted = await countDispatches(step)
    expect(counted.submits).toBeGreaterThan(0)
    expect(totalOf(counted)).toBeGreaterThan(80)
    expect(totalOf(counted)).toBeLessThanOrEqual(180)
  })
})

test.each([
  [wrn, { name: 'momentum', learningRate: 0.1 }],
  [mixture, { name: 'adamw', learningRate: 0.1, clipNorm: 1 }],
] as const)('a step of %j by %j leaves nothing behind', async (network, options) => {
  const step = stepOf(network, options)
  const backend = tf.backend() as unknown as { numDataIds(): number }
  const held = () => [tf.memory().numTensors, backend.numDataIds()]
  await step()
  await step()
  const before = held()
  await step()
  expect(held()).toEqual(before)
})

function stepOf(
  { kind, size }: { kind: NetworkKind; size: Parameters<typeof buildNetwork>[1] },
  options: OptimizerOptions,
) {
  const model = buildNetwork(kind, size)
  const { images } = noiseBatch(size, 8)
  const batch = { inputs: [images], labels: new Int32Array(8), count: 8 }
  const parts = {
    model,
    classifier: lossOf(model),
    optimizer: createOptimizer(options, model),
    weightDecays: weightDecays(model, options),
    l2: stepPenalty(options),
    clipNorm: options.clipNorm,
  }
  return () => takeStep(parts, batch)
}

test('counts what is handed over, and leaves the methods as they were', async () => {
  const before = Object.getOwnPropertyDescriptors(GPUComputePassEncoder.prototype)
  const x = tf.randomNormal([200, 30])
  const counted = await countDispatches(async () => tf.matMul(tf.relu(x), x, false, true).data())
  expect([totalOf(counted), [...counted.byKernel.keys()].some(name => name.includes('MatMul'))]).toEqual([
    2,
    true,
  ])
  expect(Object.getOwnPropertyDescriptors(GPUComputePassEncoder.prototype)).toEqual(before)
})
