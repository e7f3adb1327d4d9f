import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { continuedConfig } from '../../../scripts/run/training/continued-config.js'
import { runConfig } from '../../../src/run/run-config.js'

const versions = { patchMoe: '0', tfjs: '0', node: '0' }
const runOf = (model: object) => ({
  directory: '/runs/one',
  config: runConfig(
    {
      dataset: { name: 'd', data: null, samples: 8, testSamples: null, classNames: ['a', 'b'] },
      model,
      training: { epochs: 4, batchSize: 8, optimizer: 'sgd', learningRate: 1, bnStatistics: 'moving' },
      ...{ seed: 1, backend: 'wasm', precision: 'float32', memory: 'normal', versions },
    },
    'test',
  ),
})
const initial = (inputScaling?: string) =>
  runOf({ name: 'init', options: { kind: 'init', from: '/m', ...(inputScaling && { inputScaling }) } })
const plain = () => runOf({ name: 'wrn', options: { kind: 'wide-resnet', depth: 10, widenFactor: 1 } })

test('flags that repeat what a run has leave it as it is', () => {
  const run = initial('-1..1')
  for (const flags of [{}, { inputScaling: '-1..1' }, { init: '/m', model: 'init', batchSize: 8 }] as const) {
    expect(continuedConfig(run, flags)).toBe(run.config)
  }
})

test('`auto` is what was chosen at the start, of whatever it was chosen', () => {
  for (const run of [initial('caffe'), initial('0..1'), initial()]) {
    expect(continuedConfig(run, { inputScaling: 'auto', batchSize: 'auto', backend: 'auto' })).toBe(
      run.config,
    )
  }
})

test('another scaling of pixels is refused with both, and any where the network is not of --init', () => {
  expect(() => continuedConfig(initial('-1..1'), { inputScaling: 'imagenet' })).toThrow(
    'train: --resume must keep the settings of /runs/one, got changed ones: model.options.inputScaling is "-1..1", asked for "imagenet"',
  )
  expect(() => continuedConfig(initial(), { inputScaling: '0..255' })).toThrow(
    'model.options.inputScaling is not set, asked for "0..255"',
  )
  for (const inputScaling of ['auto', '0..1'] as const) {
    expect(() => continuedConfig(plain(), { inputScaling })).toThrow(
      'train: --input-scaling must be used with init, got model wrn',
    )
  }
})

test('everything that differs is named at once; epochs may grow and files may move', () => {
  const run = plain()
  expect(() => continuedConfig(run, { epochs: 3, lr: 0.5, model: 'wrn-pmoe', init: 'm' })).toThrow(
    'got changed ones: model.name is "wrn", asked for "wrn-pmoe"; ' +
      `model.options.from is not set, asked for ${JSON.stringify(resolve('m'))}; ` +
      'training.epochs is 4, asked for 3; training.learningRate is 1, asked for 0.5',
  )
  const longer = continuedConfig(run, { epochs: 6, data: 'moved' })
  expect([longer.training.epochs, longer.dataset.data]).toEqual([6, resolve('moved')])
})
