import type * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../../src/train/checkpoint.js'
import type { TrainEvent } from '../../../src/train/events.js'
import { type SeparateTrainOptions, trainSeparately } from '../../../src/train/routing/separate.js'
import { useTestBackend } from '../../backend-under-test.js'
import { allEvents, brightRows, historyOf, weightsOf, withoutClock } from '../tasks.js'

beforeAll(() => useTestBackend())

const build = (seed: number): tf.LayersModel =>
  twoLayerPatchModel({
    inputShape: [4, 4, 1],
    patchSize: [1, 4],
    numExperts: 2,
    patchesPerExpert: 2,
    hiddenUnits: 8,
    numClasses: 1,
    gate: 'uniform',
    seed,
  })

/** Router, kernel and head, in this order whichever of them are trained. */
const partsOf = (model: tf.LayersModel) =>
  model
    .getLayer('logits')
    .getWeights()
    .map(weight => [...weight.dataSync()])

const options: SeparateTrainOptions = {
  train: brightRows(30, 2, 1),
  test: brightRows(10, 2, 2),
  epochs: 2,
  batchSize: 8,
  optimizer: { name: 'momentum', learningRate: 0.1 },
  seed: 3,
  routers: { epochs: 3, batchSize: 8, learningRate: 0.1 },
}

describe('trainSeparately', () => {
  it('tells of the routers, then of the experts, whose training leaves the routers alone', async () => {
    const model = build(1)
    const kinds: string[] = []
    const routers: unknown[] = []
    const initial = partsOf(model)
    for await (const event of trainSeparately(model, options)) {
      kinds.push(event.type)
      routers.push(partsOf(model)[0])
    }
    const steps = ['step', 'step', 'step', 'step', 'evaluate', 'epoch']
    expect(kinds).toEqual(['routers', 'routers', 'routers', 'start', ...steps, ...steps, 'end'])
    expect(routers[0]).toEqual(initial[0])
    expect(routers[2]).not.toEqual(initial[0])
    for (const later of routers.slice(3)) expect(later).toEqual(routers[2])
    expect(partsOf(model)[1]).not.toEqual(initial[1])
    expect(partsOf(model)[2]).toEqual(initial[2])
  })

  it('ends in the same numbers when it is resumed among the experts', async () => {
    const whole = build(1)
    const expected = withoutClock(await historyOf(trainSeparately(whole, options)))
    const checkpoints = memoryStore()
    for await (const event of trainSeparately(build(1), { ...options, checkpoints, checkpointSteps: 2 })) {
      if (event.type === 'checkpoint' && event.epoch === 2) break
    }
    const resume = readCheckpoint((await checkpoints.read(latestCheckpoint))!, latestCheckpoint)
    // Another seed: everything must come out of the state.
    const resumed = build(2)
    const events = await allEvents(trainSeparately(resumed, { ...options, resume }))
    expect(events.some(({ type }) => type === 'routers')).toBe(false)
    expect(withoutClock((events.at(-1) as TrainEvent & { type: 'end' }).history)).toEqual(expected)
    expect(weightsOf(resumed)).toEqual(weightsOf(whole))
  })

  it('ends as aborted when it is stopped among the routers, and gets the same ones when begun anew', async () => {
    const abort = new AbortController()
    const model = build(1)
    const events: TrainEvent[] = []
    for await (const event of trainSeparately(model, { ...options, signal: abort.signal })) {
      events.push(event)
      if (event.type === 'routers' && event.epoch === 2) abort.abort()
    }
    expect(events.map(({ type }) => type)).toEqual(['routers', 'routers', 'stop', 'end'])
    expect(events[2]).toEqual({ type: 'stop', reason: 'aborted', epoch: 1, step: 0 })
    const whole = build(1)
    const expected = withoutClock(await historyOf(trainSeparately(whole, options)))
    expect(withoutClock(await historyOf(trainSeparately(model, options)))).toEqual(expected)
    expect(weightsOf(model)).toEqual(weightsOf(whole))
  })

  it('checks what concerns the experts before it trains the routers', async () => {
    const model = build(1)
    const before = weightsOf(model)
    await expect(allEvents(trainSeparately(model, { ...options, epochs: 0 }))).rejects.toThrow(
      'train: epochs must be a positive integer, got 0',
    )
    expect(weightsOf(model)).toEqual(before)
  })
})
