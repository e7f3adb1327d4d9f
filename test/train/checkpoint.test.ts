import * as tf from '@tensorflow/tfjs'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors, writeSafetensors } from '../../src/data/formats/safetensors.js'
import {
  checkWeights,
  memoryStore,
  type RunIdentity,
  readCheckpoint,
  readWeights,
  restoreWeights,
  type TrainState,
  writeCheckpoint,
} from '../../src/train/checkpoint.js'
import { checkIdentity } from '../../src/train/start-run.js'
import { useTestBackend } from '../backend-under-test.js'
import { denseModel, weightsOf } from './tasks.js'

beforeAll(() => useTestBackend())

const state: TrainState = {
  weights: [
    ['0000/dense/kernel', { dtype: 'F32', shape: [1, 2], data: Float32Array.of(1 / 3, -0) }],
    ['0001/dense/bias', { dtype: 'F32', shape: [2], data: Float32Array.of(1e-45, 3e38) }],
  ],
  optimizer: { name: 'momentum', learningRate: 0.1, momentum: 0.9 },
  slots: [
    ['0000/iter', { dtype: 'I32', shape: [], data: Int32Array.of(17) }],
    ['0001/momentum', { dtype: 'F32', shape: [1, 2], data: Float32Array.of(5, 6) }],
    ['0002/momentum', { dtype: 'F32', shape: [2], data: Float32Array.of(7, 8) }],
  ],
  seed: 42,
  batchSize: 16,
  examples: 100,
  history: [
    { epoch: 1, trainLoss: 0.1 + 0.2, trainAccuracy: 1 / 3, seconds: 1.5, learningRate: 0.1, steps: 7 },
  ],
  running: { step: 3, lossSum: 12.25, correct: 40, seconds: 0.5 },
  configKey: '{"dataset":"digits"}',
}

describe('checkpoint files', () => {
  it('carry a state there and back exactly', () => {
    expect(readCheckpoint(writeCheckpoint(state), 'a')).toEqual(state)
    const { configKey: _, ...unnamed } = state
    expect(readCheckpoint(writeCheckpoint(unnamed), 'a')).toEqual(unnamed)
  })

  it('carry every finite number of the history exactly', () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true }).filter(x => !Object.is(x, -0))
    fc.assert(
      fc.property(number, number, (lossSum, trainLoss) => {
        const history = state.history.map(metrics => ({ ...metrics, trainLoss }))
        const written = { ...state, history, running: { ...state.running, lossSum } }
        expect(readCheckpoint(writeCheckpoint(written), 'a')).toEqual(written)
      }),
    )
  })

  it('are refused when cut off at any byte', () => {
    const bytes = writeCheckpoint(state)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), end => {
        expect(() => readCheckpoint(bytes.subarray(0, end), 'runs/a/latest')).toThrow(/^runs\/a\/latest: /)
      }),
    )
  })

  it('never give another state when a bit of them has changed', () => {
    const bytes = writeCheckpoint(state)
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: bytes.length - 1 }),
        fc.integer({ min: 0, max: 7 }),
        (at, bit) => {
          const changed = bytes.slice()
          changed[at]! ^= 1 << bit
          // The name of the checksum, and spaces behind the header, do not belong to the state.
          try {
            expect(readCheckpoint(changed, 'runs/a/latest')).toEqual(state)
          } catch (error) {
            expect((error as Error).message).toMatch(/^runs\/a\/latest: /)
          }
        },
      ),
    )
    const changed = bytes.slice()
    changed[bytes.length - 1]! ^= 1
    expect(() => readCheckpoint(changed, 'a')).toThrow(
      /^a: checksum must be [0-9a-f]{8}, got [0-9a-f]{8} \(the file is damaged\)$/,
    )
  })

  it('of earlier versions, without a checksum, can be read', () => {
    const tensors = [...readSafetensors(writeCheckpoint(state), 'a').tensors]
    const old = writeSafetensors(tensors, { format: 'patch-moe checkpoint 1', progress: progressOf(state) })
    expect(readCheckpoint(old, 'a')).toEqual(state)
  })

  it('are refused when they are something else', () => {
    expect(() => readCheckpoint(writeSafetensors([], { format: 'pt' }), 'a')).toThrow(
      'a: format must be "patch-moe checkpoint 1", got "pt"',
    )
    const format = 'patch-moe checkpoint 1'
    expect(() => readCheckpoint(writeSafetensors([], { format }), 'a')).toThrow(
      /^a: progress must be that of a training run, got: /,
    )
    const progress = JSON.stringify({ ...JSON.parse(progressOf(state)), batchSize: 0 })
    expect(() => readCheckpoint(writeSafetensors([], { format, progress }), 'a')).toThrow(
      /^a: progress must be that of a training run, got: .*batchSize/s,
    )
  })
})

function progressOf({ weights: _, slots: __, ...progress }: TrainState): string {
  return JSON.stringify(progress)
}

describe('weights of a model', () => {
  it('are copied and restored exactly, past constraints, into a model with other layer numbers', async () => {
    const model = denseModel({ normalized: true, seed: 1 })
    const other = denseModel({ normalized: true, seed: 2 })
    const weights = await readWeights(model)
    checkWeights(other, weights, 'train')
    restoreWeights(other, weights)
    expect(weightsOf(other)).toEqual(weightsOf(model))
    const tensors = tf.memory().numTensors
    restoreWeights(other, weights)
    expect(tf.memory().numTensors).toBe(tensors)
  })

  it('are refused by another model', async () => {
    const weights = await readWeights(denseModel({ units: 8 }))
    expect(() => checkWeights(denseModel({ normalized: true }), weights, 'train')).toThrow(
      "train: checkpoint must have the model's 8 weights, got 4",
    )
    expect(() => checkWeights(denseModel({ units: 5 }), weights, 'train')).toThrow(
      /^train: checkpoint must have weight 0 dense_Dense\d+\/kernel \[16, 5\], got dense_Dense\d+\/kernel \[16, 8\]$/,
    )
    const renamed = weights.map(([name, tensor]) => [name.replace('kernel', 'router'), tensor] as const)
    expect(() => checkWeights(denseModel({ units: 8 }), renamed, 'train')).toThrow(
      /^train: checkpoint must have weight 0 dense_Dense\d+\/kernel \[16, 8\], got dense_Dense\d+\/router \[16, 8\]$/,
    )
  })
})

describe('checkIdentity', () => {
  const run: RunIdentity = {
    optimizer: { name: 'sgd', learningRate: 0.1 },
    seed: 1,
    batchSize: 8,
    examples: 50,
    configKey: JSON.stringify({ model: 'wrn', widen: 1 }),
  }

  it('accepts the same settings in any order', () => {
    const configKey = JSON.stringify({ widen: 1, model: 'wrn' })
    expect(() => checkIdentity({ ...run, configKey }, run, 'train')).not.toThrow()
  })

  it('names each setting that differs, with both values', () => {
    const other = { ...run, seed: 2, configKey: JSON.stringify({ model: 'wrn', widen: 2, experts: 4 }) }
    expect(() => checkIdentity(other, run, 'train')).toThrow(
      'train: checkpoint must be of this configuration, got widen 2 (this run has 1); ' +
        'experts 4 (this run has nothing); seed 2 (this run has 1)',
    )
    const adam = { ...run, optimizer: { name: 'adam', learningRate: 0.1 } as const }
    expect(() => checkIdentity(adam, run, 'train')).toThrow(
      'got optimizer {"learningRate":0.1,"name":"adam"} (this run has {"learningRate":0.1,"name":"sgd"})',
    )
  })

  it('compares keys that are plain text', () => {
    expect(() => checkIdentity({ ...run, configKey: 'a' }, { ...run, configKey: 'b' }, 'train')).toThrow(
      'got configKey "a" (this run has "b")',
    )
  })
})

it('keeps copies of bytes in memory', async () => {
  const store = memoryStore()
  expect(await store.read('a')).toBeUndefined()
  const bytes = Uint8Array.of(1, 2)
  await store.write('a', bytes)
  bytes[0] = 9
  expect(await store.read('a')).toEqual(Uint8Array.of(1, 2))
  await store.write('a', Uint8Array.of(3))
  expect(await store.read('a')).toEqual(Uint8Array.of(3))
})
