import * as tfl from '@tensorflow/tfjs-layers'
import { beforeAll, describe, expect, it } from 'vitest'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../../src/train/checkpoint.js'
import { stageOfEpoch, stagesText, unfreezingStages } from '../../../src/train/frozen/unfreezing.js'
import { train } from '../../../src/train/loop.js'
import { useTestBackend } from '../../backend-under-test.js'
import { allEvents, historyOf, weightsOf, withoutClock } from '../tasks.js'
import { layerValues, residualNetwork, residualTask } from './networks.js'

beforeAll(() => useTestBackend())

const options = {
  ...residualTask,
  optimizer: { name: 'adamw', learningRate: 0.01 },
  epochs: 5,
  freezeUntil: 'sum',
  unfreezeEvery: 1,
} as const

describe('unfreezingStages', () => {
  it('ends a block before each kernel, and takes a residual block as one', () => {
    const model = residualNetwork()
    expect(unfreezingStages(model, 'sum')).toEqual(['sum', 'relu2', 'relu1', undefined])
    expect(unfreezingStages(model, 'conv2')).toEqual(['conv2', 'relu1', undefined])
    // The last place where a single tensor passes is before the branches.
    expect(unfreezingStages(model, 'shortcut')).toEqual(['shortcut', 'relu1', undefined])
    model.dispose()
  })

  it('looks into nested models', () => {
    const inner = tfl.sequential({
      name: 'backbone',
      layers: [tfl.layers.dense({ units: 3, inputShape: [4] }), tfl.layers.dense({ units: 2 })],
    })
    const input = tfl.input({ shape: [4] })
    const first = tfl.layers.dense({ units: 4, name: 'first' }).apply(input)
    const logits = tfl.layers
      .dense({ units: 2, name: 'logits' })
      .apply(inner.apply(first) as tfl.SymbolicTensor)
    const model = tfl.model({ inputs: input, outputs: logits as tfl.SymbolicTensor })
    const names = inner.layers.map(({ name }) => `backbone/${name}`)
    expect(unfreezingStages(model, 'backbone')).toEqual(['backbone', names[0], 'first', undefined])
    model.dispose()
  })

  it('refuses a layer before which there is nothing to unfreeze', () => {
    const model = residualNetwork()
    expect(() => unfreezingStages(model, 'image')).toThrow(
      'train: unfreezeEvery must come with a freezeUntil layer up to which a block can be unfrozen, got image',
    )
    model.dispose()
  })
})

it('tells the stage of an epoch, and what a run will not unfreeze', () => {
  expect([1, 2, 3, 4, 5, 9].map(epoch => stageOfEpoch(epoch, 2, 3))).toEqual([0, 0, 1, 1, 2, 2])
  const stages = ['sum', 'relu2', undefined]
  expect(stagesText(stages, 2, 6)).toBe(
    'Unfreezes a block every 2 epochs: what follows relu2 from epoch 3, all from epoch 5.',
  )
  expect(stagesText(stages, 2, 4)).toBe(
    'Unfreezes a block every 2 epochs: what follows relu2 from epoch 3; 1 of 2 blocks stay frozen, since the run lasts 4 epochs ' +
      'and the last would be unfrozen in epoch 5.',
  )
  expect(stagesText(stages, 5, 4)).toBe(
    'Unfreezes a block every 5 epochs; 2 of 2 blocks stay frozen, since the run lasts 4 epochs and the last would be unfrozen in ' +
      'epoch 11.',
  )
})

describe('gradual unfreezing', () => {
  it('trains a block more from stage to stage, and keeps the rest exactly', async () => {
    const model = residualNetwork()
    const names = ['conv1', 'norm1', 'conv2', 'norm2', 'branch', 'shortcut', 'logits']
    const values = () => names.map(name => JSON.stringify(layerValues(model, name)))
    const changed: string[][] = []
    let before = values()
    for await (const event of train(model, { ...options, bnStatistics: 'moving' })) {
      if (event.type !== 'epoch') continue
      const now = values()
      changed.push(names.filter((_, i) => now[i] !== before[i]))
      before = now
    }
    expect(changed).toEqual([
      ['logits'],
      ['branch', 'shortcut', 'logits'],
      ['conv2', 'norm2', 'branch', 'shortcut', 'logits'],
      names,
      names,
    ])
    model.dispose()
  })

  it.each([
    ['steps', {}],
    ['averages and the best epoch', { emaDecay: 0.9, validation: residualTask.test }],
  ] as const)('resumes exactly within a stage and at its end, with %s', async (_, more) => {
    const whole = residualNetwork()
    const history = await historyOf(train(whole, { ...options, ...more }))
    for (const [epoch, step] of [
      [2, 2],
      [2, 4],
      [3, 1],
    ]) {
      const checkpoints = memoryStore()
      const abort = new AbortController()
      const stopped = residualNetwork()
      for await (const event of train(stopped, { ...options, ...more, checkpoints, signal: abort.signal })) {
        const isThere = event.type === 'step' && event.epoch === epoch && event.step === step
        const isEnd = step === 4 && event.type === 'checkpoint' && event.epoch === epoch
        if (step === 4 ? isEnd : isThere) abort.abort()
      }
      const bytes = (await checkpoints.read(latestCheckpoint)) as Uint8Array
      const resume = readCheckpoint(bytes, 'test')
      const resumed = residualNetwork()
      const rest = await historyOf(train(resumed, { ...options, ...more, resume }))
      expect(withoutClock(rest)).toEqual(withoutClock(history))
      expect(weightsOf(resumed)).toEqual(weightsOf(whole))
      for (const model of [stopped, resumed]) model.dispose()
    }
    whole.dispose()
  })

  it('begins the state of its optimizer anew for the weights of each stage', async () => {
    const model = residualNetwork()
    const checkpoints = memoryStore()
    const counts: number[] = []
    for await (const event of train(model, { ...options, checkpoints })) {
      if (event.type !== 'checkpoint') continue
      const bytes = (await checkpoints.read(latestCheckpoint)) as Uint8Array
      counts.push(readCheckpoint(bytes, 'test').slots.length)
    }
    // The counter, two moments a weight, two powers; logits have 2 weights, the others 4, 4 and 4 more.
    expect(counts).toEqual([2, 6, 10, 14, 14].map(weights => 3 + 2 * weights))
    model.dispose()
  })

  it('says what it will do, and refuses to begin nowhere or to go on otherwise', async () => {
    const model = residualNetwork()
    const events = await allEvents(train(model, { ...options, epochs: 2 }))
    expect(events.flatMap(event => (event.type === 'remark' ? [event.remark] : []))[0]).toMatch(
      /2 of 3 blocks stay frozen, since the run lasts 2 epochs/,
    )
    const { freezeUntil: _, ...rest } = options
    await expect(historyOf(train(model, rest))).rejects.toThrow(
      'train: unfreezeEvery must come with freezeUntil, got 1 without a layer to begin at',
    )
    const checkpoints = memoryStore()
    await historyOf(train(model, { ...options, epochs: 1, checkpoints }))
    const resume = readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, 'test')
    await expect(historyOf(train(model, { ...options, freezeUntil: 'relu2', resume }))).rejects.toThrow(
      'train: checkpoint must be of this configuration, got frozen {"freezeUntil":"sum","unfreezeEvery":1} ' +
        '(this run has {"freezeUntil":"relu2","unfreezeEvery":1})',
    )
    model.dispose()
  })
})
