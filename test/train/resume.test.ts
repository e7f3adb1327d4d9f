import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { type ImageStream, type StreamPass, streamOf } from '../../src/data/image-stream.js'
import {
  latestCheckpoint,
  memoryStore,
  readCheckpoint,
  type TrainState,
  writeCheckpoint,
} from '../../src/train/checkpoint.js'
import { type TrainEvent, type TrainOptions, train } from '../../src/train/loop.js'
import { useTestBackend } from '../backend-under-test.js'
import { allEvents, brightRows, denseModel, historyOf, weightsOf, withoutClock } from './tasks.js'

beforeAll(() => useTestBackend())

const base: TrainOptions = {
  train: brightRows(30, 3, 1),
  test: brightRows(21, 3, 2),
  epochs: 3,
  batchSize: 8,
  optimizer: { name: 'adam', learningRate: 0.02 },
  seed: 5,
  configKey: JSON.stringify({ model: 'dense', widen: 1 }),
}

/** Batch normalization and dropout: all that keeps a state of its own. */
function model(seed = 1): tf.Sequential {
  const made = denseModel({ normalized: true, outputs: 6, seed })
  made.add(tf.layers.dropout({ rate: 0.3 }))
  made.add(
    tf.layers.dense({ units: 3, kernelInitializer: tf.initializers.glorotUniform({ seed: seed + 90 }) }),
  )
  return made
}

async function whole(options: TrainOptions) {
  const trained = model()
  const history = withoutClock(await historyOf(train(trained, options)))
  return { history, weights: weightsOf(trained) }
}

/** Stops a run when an event says so, and goes on from its checkpoint with a model of other weights. */
async function interrupted(options: TrainOptions, when: (event: TrainEvent) => boolean) {
  const { state, events } = await stopped(options, when)
  const resumed = model(2)
  const rest = await allEvents(train(resumed, { ...options, resume: state }))
  const end = rest.at(-1)
  const history = end?.type === 'end' ? withoutClock(end.history) : []
  return { history, weights: weightsOf(resumed), events, rest, state }
}

async function stopped(options: TrainOptions, when: (event: TrainEvent) => boolean) {
  const checkpoints = memoryStore()
  const controller = new AbortController()
  const events: TrainEvent[] = []
  for await (const event of train(model(), { ...options, checkpoints, signal: controller.signal })) {
    events.push(event)
    if (when(event)) controller.abort()
  }
  const bytes = await checkpoints.read(latestCheckpoint)
  return { state: readCheckpoint(bytes as Uint8Array, latestCheckpoint), events }
}

/** The state that is left of a run killed after its first so many steps. */
async function killed(options: TrainOptions, steps: number): Promise<TrainState> {
  const checkpoints = memoryStore()
  let stored = 0
  for await (const event of train(model(), { ...options, checkpoints, checkpointSteps: 1 })) {
    if (event.type === 'checkpoint') stored++
    if (stored === steps) break
  }
  return readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, latestCheckpoint)
}

const stepIs = (epoch: number, step: number) => (event: TrainEvent) =>
  event.type === 'step' && event.epoch === epoch && event.step === step

describe('a run that was stopped and resumed', () => {
  it.each(['sgd', 'momentum', 'adam'] as const)('ends like one never stopped, with %s', async name => {
    const options: TrainOptions = { ...base, optimizer: { name, learningRate: 0.02 } }
    const { history, weights, state } = await interrupted(options, stepIs(2, 1))
    expect(state.history.length).toBe(1)
    expect(state.running.step).toBeGreaterThan(0)
    expect({ history, weights }).toEqual(await whole(options))
  })

  it.each(['recomputed', 'moving'] as const)(
    'ends like one never killed, whichever its last step, %s statistics',
    async bnStatistics => {
      const options: TrainOptions = { ...base, epochs: 2, bnStatistics }
      const expected = await whole(options)
      for (let kills = 1; kills <= 8; kills++) {
        const resume = await killed(options, kills)
        expect(resume.history.length * 4 + resume.running.step).toBe(kills)
        const resumed = model(2)
        const history = withoutClock(await historyOf(train(resumed, { ...options, resume })))
        expect({ history, weights: weightsOf(resumed) }).toEqual(expected)
      }
    },
  )

  it('tells where it goes on', async () => {
    const events = await allEvents(train(model(2), { ...base, resume: await killed(base, 7) }))
    expect(events[0]).toMatchObject({ type: 'start', fromEpoch: 2, fromStep: 3 })
    expect(events[1]).toMatchObject({ type: 'step', epoch: 2, step: 4 })
  })

  it('says when another number of threads, or another backend, goes on', async () => {
    const resume = await killed({ ...base, threads: 2 }, 7)
    const backend = tf.getBackend()
    expect(resume.computation).toEqual({ backend, threads: 2 })
    const remarkOf = async (state: TrainState, threads?: number) => {
      const options = { ...base, resume: state, ...(threads !== undefined && { threads }) }
      const [start] = await allEvents(train(model(2), options))
      return start?.type === 'start' ? start.remark : 'no start'
    }
    expect(await remarkOf(resume, 2)).toBeUndefined()
    expect(await remarkOf(resume)).toBeUndefined()
    expect(await remarkOf(resume, 1)).toBe(
      `This run was computed by ${backend} with 2 threads and goes on with ${backend} with 1 thread: its numbers can differ from those of a run that was never stopped.`,
    )
    const elsewhere = { ...resume, computation: { backend: 'webgl' } }
    expect(await remarkOf(elsewhere, 1)).toContain(`by webgl and goes on with ${backend} with 1 thread:`)
    // Earlier versions stored nothing of it.
    const { computation: _, ...earlier } = resume
    const bytes = writeCheckpoint(earlier)
    expect(await remarkOf(readCheckpoint(bytes, latestCheckpoint), 1)).toBeUndefined()
  })

  it('goes on where an evaluation was stopped', async () => {
    const { events, rest, history, weights, state } = await interrupted(
      base,
      event => event.type === 'evaluate',
    )
    expect(events.slice(-4).map(({ type }) => type)).toEqual(['evaluate', 'checkpoint', 'stop', 'end'])
    expect(state.running.step).toBe(4)
    expect(rest.slice(0, 3).map(({ type }) => type)).toEqual(['start', 'evaluate', 'epoch'])
    expect({ history, weights }).toEqual(await whole(base))
  })

  it('stops again at once where it was, without another checkpoint', async () => {
    const { state } = await stopped(base, stepIs(2, 1))
    const signal = AbortSignal.abort()
    const events = await allEvents(
      train(model(), { ...base, resume: state, checkpoints: memoryStore(), signal }),
    )
    expect(events.map(({ type }) => type)).toEqual(['start', 'stop', 'end'])
    expect(events[1]).toEqual({ type: 'stop', reason: 'aborted', epoch: 2, step: state.running.step })
  })

  it('takes no step when all are done, and more when more epochs are asked for', async () => {
    const checkpoints = memoryStore()
    await historyOf(train(model(), { ...base, epochs: 2, checkpoints }))
    const resume = readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, 'latest')
    const events = await allEvents(train(model(2), { ...base, epochs: 2, resume }))
    expect(events.map(({ type }) => type)).toEqual(['start', 'end'])
    const longer = model(2)
    const history = withoutClock(await historyOf(train(longer, { ...base, epochs: 3, resume })))
    expect({ history, weights: weightsOf(longer) }).toEqual(await whole(base))
  })

  it('stays stopped where it ended early', async () => {
    const checkpoints = memoryStore()
    const options: TrainOptions = {
      ...base,
      epochs: 9,
      bnStatistics: 'moving',
      optimizer: { name: 'sgd', learningRate: 1e-30 },
      earlyStop: { patience: 1, metric: 'testAccuracy' },
      checkpoints,
    }
    const first = (await allEvents(train(model(), options))).find(({ type }) => type === 'stop')
    const resume = readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, 'latest')
    const events = await allEvents(train(model(2), { ...options, resume }))
    expect(events.map(({ type }) => type)).toEqual(['start', 'stop', 'end'])
    expect(events[1]).toEqual(first)
  })
})

describe('resume refuses', () => {
  async function refusal(changed: (state: TrainState) => TrainState, options = base, onto = model(2)) {
    const { state } = await stopped(base, stepIs(1, 2))
    const before = weightsOf(onto)
    const tensors = tf.memory().numTensors
    const error = await historyOf(train(onto, { ...options, resume: changed(state) })).catch(caught => caught)
    expect(weightsOf(onto)).toEqual(before)
    expect(tf.memory().numTensors).toBe(tensors)
    return (error as Error).message
  }
  const same = (state: TrainState) => state

  it('another configuration', async () => {
    const configKey = JSON.stringify({ model: 'dense', widen: 2 })
    expect(await refusal(same, { ...base, configKey, batchSize: 4 })).toBe(
      'train: checkpoint must be of this configuration, got widen 1 (this run has 2); batchSize 8 (this run has 4)',
    )
  })

  it('another model, and changes nothing', async () => {
    expect(await refusal(same, base, denseModel())).toBe(
      "train: checkpoint must have the model's 4 weights, got 10",
    )
  })

  it('a position past the end of an epoch', async () => {
    const late = (state: TrainState) => ({ ...state, running: { ...state.running, step: 5 } })
    expect(await refusal(late)).toBe('train: checkpoint must be at a step in [0, 4], got 5')
  })

  it('slots of other weights', async () => {
    const fewer = (state: TrainState) => ({ ...state, slots: state.slots.slice(1) })
    expect(await refusal(fewer)).toBe('optimizer: state of Adam must have 19 tensors for 8 weights, got 18')
  })

  it('is the same from a stream of batches, also where the stream goes on in an epoch', async () => {
    const set = brightRows(30, 3, 1)
    const asked: StreamPass[] = []
    const stream: ImageStream = {
      ...streamOf(set),
      batches: pass => {
        asked.push(pass)
        return streamOf(set).batches(pass)
      },
    }
    const streamed = { ...base, train: stream }
    expect(await whole(streamed)).toEqual(await whole(base))
    asked.length = 0
    const { history, weights } = await interrupted(
      streamed,
      event => event.type === 'step' && event.epoch === 2 && event.step === 1,
    )
    expect({ history, weights }).toEqual(await whole(base))
    // Two steps of eight images were done when the run stopped: the step told is one behind.
    const passes = asked.filter(({ shuffle }) => shuffle?.seed === 5)
    expect(passes.map(({ start }) => start)).toEqual([0, 0, 16, 0])
  })
})
