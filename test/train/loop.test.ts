import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../src/train/checkpoint.js'
import { evaluate } from '../../src/train/evaluate.js'
import { DivergenceError, type TrainEvent, type TrainOptions, train } from '../../src/train/loop.js'
import { useTestBackend } from '../backend-under-test.js'
import { allEvents, brightRows, denseModel, historyOf, weightsOf, withoutClock } from './tasks.js'

beforeAll(() => useTestBackend())

const rows = brightRows(30, 3, 1)
const testRows = brightRows(21, 3, 2)
const base: TrainOptions = {
  train: rows,
  test: testRows,
  epochs: 2,
  batchSize: 8,
  optimizer: { name: 'sgd', learningRate: 0.1 },
  seed: 5,
}

/** The events as short words: s for a step. */
function kinds(events: readonly TrainEvent[]): string {
  return events.map(({ type }) => (type === 'step' ? 's' : type)).join(' ')
}

describe('train', () => {
  it('tells what happens in order', async () => {
    const events = await allEvents(train(denseModel(), { ...base, checkpoints: memoryStore() }))
    const epoch = 's s s s evaluate epoch checkpoint'
    expect(kinds(events)).toBe(`start ${epoch} ${epoch} end`)
    expect(events[0]).toEqual({
      type: 'start',
      epochs: 2,
      stepsPerEpoch: 4,
      examples: 30,
      fromEpoch: 1,
      fromStep: 0,
    })
    const steps = events.filter(event => event.type === 'step')
    expect(steps.map(({ epoch, step }) => [epoch, step])).toEqual(
      [1, 2].flatMap(e => [1, 2, 3, 4].map(s => [e, s])),
    )
    expect(events.filter(event => event.type === 'checkpoint')).toEqual([
      { type: 'checkpoint', epoch: 1, step: 4 },
      { type: 'checkpoint', epoch: 2, step: 4 },
    ])
  })

  it('chooses by the validation set, and tests once, when the run ends', async () => {
    const validation = brightRows(18, 3, 7)
    const options = { ...base, validation, epochs: 3 }
    const history = await historyOf(train(denseModel(), options))
    expect(history.map(({ validationLoss }) => validationLoss === undefined)).toEqual([false, false, false])
    expect(history.map(({ testLoss }) => testLoss === undefined)).toEqual([true, true, false])
    const model = denseModel()
    const last = (await historyOf(train(model, options))).at(-1)
    const [watched, tested] = [
      await evaluate(model, validation, { batchSize: 128 }),
      await evaluate(model, testRows, { batchSize: 128 }),
    ]
    expect(last).toMatchObject({
      validationLoss: watched.loss,
      validationAccuracy: watched.accuracy,
      testLoss: tested.loss,
      testAccuracy: tested.accuracy,
    })
  })

  it('stops early by the validation set, and tests where it stops', async () => {
    // Wrong labels: the loss on them rises while that on the test set falls.
    const right = brightRows(18, 3, 7)
    const validation = { ...right, labels: right.labels.map(label => (label + 1) % 3) }
    const options: TrainOptions = {
      ...base,
      validation,
      train: brightRows(240, 3, 1),
      epochs: 20,
      optimizer: { name: 'adam', learningRate: 0.02 },
      earlyStop: { patience: 2 },
    }
    const events = await allEvents(train(denseModel(), options))
    const history = events.flatMap(event => (event.type === 'epoch' ? [event] : []))
    expect(events.find(({ type }) => type === 'stop')).toMatchObject({ reason: 'early-stop' })
    expect(history.length).toBeLessThan(20)
    const tests = history.map(({ testLoss }) => testLoss !== undefined)
    expect(tests).toEqual(history.map((_, i) => i === history.length - 1))
    const { validation: _, ...byTest } = options
    expect((await historyOf(train(denseModel(), byTest))).length).toBeGreaterThan(history.length)
  })

  it('takes the step of plain gradient descent', async () => {
    // One step over all images, against the gradient computed here.
    const model = denseModel({ units: 4 })
    const set = rows
    const variables = model.trainableWeights.map(weight => weight.read() as tf.Variable)
    const expected = tf.tidy(() => {
      const pixels = Float32Array.from(set.images, value => value / 255)
      const x = tf.tensor4d(pixels, [30, 4, 4, 1])
      const { grads } = tf.variableGrads(() => {
        const logits = model.apply(x) as tf.Tensor2D
        const right = tf.oneHot(tf.tensor1d(set.labels, 'int32'), 3).toFloat()
        return logits.sub(logits.logSumExp(1, true)).mul(right).sum().div(-30).asScalar()
      }, variables)
      return variables.map(v => [...v.sub((grads[v.name] as tf.Tensor).mul(0.1)).dataSync()])
    })
    await historyOf(train(model, { ...base, epochs: 1, batchSize: 30 }))
    for (const [i, values] of weightsOf(model).entries()) {
      for (const [j, value] of values.entries()) expect(value).toBeCloseTo(expected[i]?.[j] ?? Number.NaN, 5)
    }
  })

  it('learns, and its history says what evaluate says', async () => {
    const model = denseModel()
    const options: TrainOptions = {
      ...base,
      train: brightRows(240, 3, 1),
      epochs: 15,
      optimizer: { name: 'adam', learningRate: 0.02 },
    }
    const last = (await historyOf(train(model, options))).at(-1)
    const { loss, accuracy } = await evaluate(model, testRows, { batchSize: 128 })
    expect(last?.testLoss).toBe(loss)
    expect(last?.testAccuracy).toBe(accuracy)
    expect(accuracy).toBeGreaterThan(0.9)
    expect(last).toMatchObject({ epoch: 15, steps: 450, learningRate: 0.02 })
  })

  it('measures training as the mean over images, the short last batch included', async () => {
    const events = await allEvents(train(denseModel(), { ...base, epochs: 1 }))
    const losses = events.flatMap(event => (event.type === 'step' ? [event.loss] : []))
    const [a = 0, b = 0, c = 0, d = 0] = losses
    const epoch = events.find(event => event.type === 'epoch')
    expect(epoch?.trainLoss).toBeCloseTo((8 * (a + b + c) + 6 * d) / 30, 10)
  })

  it('adds the penalties of regularizers and keeps to constraints', async () => {
    const model = tf.sequential()
    model.add(tf.layers.flatten({ inputShape: [4, 4, 1] }))
    model.add(
      tf.layers.dense({
        units: 3,
        kernelInitializer: 'ones',
        kernelRegularizer: tf.regularizers.l2({ l2: 0.5 }),
        kernelConstraint: tf.constraints.nonNeg(),
      }),
    )
    const { test: _, ...noTest } = base
    const options: TrainOptions = {
      ...noTest,
      epochs: 1,
      batchSize: 30,
      optimizer: { name: 'sgd', learningRate: 2 },
    }
    const [metrics] = await historyOf(train(model, options))
    // Equal logits: cross-entropy ln 3; the penalty is 0.5 * 48.
    expect(metrics?.trainLoss).toBeCloseTo(Math.log(3) + 24, 4)
    // Each weight moves by about -2 * 1 (the penalty's gradient): below 0 without the constraint.
    expect(Math.min(...(weightsOf(model)[0] ?? []))).toBe(0)
  })

  it('leaves frozen weights alone', async () => {
    const model = denseModel()
    const [hidden, head] = model.layers.slice(1) as [tf.layers.Layer, tf.layers.Layer]
    hidden.trainable = false
    const values = (layer: tf.layers.Layer) => layer.getWeights().map(weight => [...weight.dataSync()])
    const before = { hidden: values(hidden), head: values(head) }
    await historyOf(train(model, base))
    expect(values(hidden)).toEqual(before.hidden)
    expect(values(head)).not.toEqual(before.head)
  })

  it.each(['sgd', 'momentum', 'adam'] as const)('repeats itself bit by bit with %s', async name => {
    const run = async (seed: number) => {
      const model = withDropout()
      const options = { ...base, seed, optimizer: { name, learningRate: 0.05 } }
      return { history: withoutClock(await historyOf(train(model, options))), weights: weightsOf(model) }
    }
    const first = await run(5)
    expect(await run(5)).toEqual(first)
    expect((await run(6)).history).not.toEqual(first.history)
  })

  it('does not let the estimation of statistics change the course of training', async () => {
    const run = async (bnStatistics: 'recomputed' | 'moving') => {
      const model = denseModel({ normalized: true })
      const history = await historyOf(train(model, { ...base, epochs: 3, bnStatistics }))
      const trained = model.trainableWeights.map(w => [...w.read().dataSync()])
      return { trained, losses: history.map(h => h.trainLoss), tests: history.map(h => h.testLoss) }
    }
    const recomputed = await run('recomputed')
    const moving = await run('moving')
    expect(moving.trained).toEqual(recomputed.trained)
    expect(moving.losses).toEqual(recomputed.losses)
    expect(moving.tests).not.toEqual(recomputed.tests)
  })

  it('evaluates every so many epochs and at the end', async () => {
    const history = await historyOf(train(denseModel(), { ...base, epochs: 5, evaluateEvery: 2 }))
    expect(history.map(({ testLoss }) => testLoss !== undefined)).toEqual([false, true, false, true, true])
  })

  it('stops early when the test loss no longer gets better', async () => {
    // A rate this small cannot move a weight of float32, so that no epoch is better than the first.
    const options: TrainOptions = {
      ...base,
      epochs: 9,
      optimizer: { name: 'sgd', learningRate: 1e-30 },
      earlyStop: { patience: 2 },
    }
    const events = await allEvents(train(denseModel(), options))
    expect(events.at(-2)).toEqual({ type: 'stop', reason: 'early-stop', epoch: 3, step: 4 })
    expect(events.filter(({ type }) => type === 'epoch').length).toBe(3)
  })

  it('stores the state every so many steps', async () => {
    const options = { ...base, epochs: 1, checkpoints: memoryStore(), checkpointSteps: 2 }
    const events = await allEvents(train(denseModel(), options))
    expect(kinds(events)).toBe('start s s checkpoint s s evaluate epoch checkpoint end')
  })

  it('uses the threshold of one logit', async () => {
    const two: TrainOptions = {
      ...base,
      train: brightRows(60, 2, 1),
      test: brightRows(20, 2, 2),
      epochs: 8,
      optimizer: { name: 'adam', learningRate: 0.02 },
    }
    const accuracy = async (threshold?: number) => {
      const options = threshold === undefined ? two : { ...two, threshold }
      return (await historyOf(train(denseModel({ outputs: 1 }), options))).at(-1)?.testAccuracy
    }
    expect(await accuracy()).toBeGreaterThan(0.8)
    // No logit reaches a threshold this high: everything is class 0, which is half of the set.
    expect(await accuracy(1e6)).toBe(0.5)
  })
})

function withDropout(): tf.Sequential {
  const model = denseModel({ normalized: true, outputs: 6 })
  model.add(tf.layers.dropout({ rate: 0.3 }))
  model.add(tf.layers.dense({ units: 3, kernelInitializer: tf.initializers.glorotUniform({ seed: 3 }) }))
  return model
}

describe('divergence', () => {
  /** Trains normally for an epoch, then multiplies a weight so that the loss overflows. */
  async function diverge(spoil: (model: tf.LayersModel) => void, checkpoints = memoryStore()) {
    const model = denseModel()
    const run = train(model, { ...base, epochs: 3, checkpoints })
    let error: unknown
    try {
      for await (const event of run) if (event.type === 'checkpoint' && event.epoch === 1) spoil(model)
    } catch (caught) {
      error = caught
    }
    const bytes = await checkpoints.read(latestCheckpoint)
    return { error, kept: readCheckpoint(bytes as Uint8Array, 'latest') }
  }

  it('stops at a loss that is no number, and keeps the last good checkpoint', async () => {
    const { error, kept } = await diverge(model => {
      const kernel = model.weights[2]?.read() as tf.Variable
      kernel.assign(tf.fill(kernel.shape, Number.NaN))
    })
    expect(error).toBeInstanceOf(DivergenceError)
    expect(error).toMatchObject({
      epoch: 2,
      step: 1,
      loss: Number.NaN,
      lastCheckpoint: { epoch: 1, step: 4 },
    })
    expect((error as Error).message).toBe(
      'train: loss must be finite, got NaN (epoch 2, step 1, loss NaN; ' +
        'the last good checkpoint is of epoch 1, step 4; a smaller learning rate may help)',
    )
    expect(kept.history.length).toBe(1)
    expect(
      kept.weights.every(([, { data }]) => [...data].every(value => Number.isFinite(Number(value)))),
    ).toBe(true)
  })

  it('stops at a weight that is no number although the loss is one', async () => {
    const { error, kept } = await diverge(model => {
      // A dead unit: relu turns -Infinity into 0, so that the loss stays finite.
      const bias = model.weights[1]?.read() as tf.Variable
      bias.assign(tf.fill(bias.shape, Number.NEGATIVE_INFINITY))
    })
    expect(error).toBeInstanceOf(DivergenceError)
    expect((error as Error).message).toContain(
      'train: weights must be finite, got NaN or Infinity (epoch 2, step 4',
    )
    expect(kept.history.length).toBe(1)
  })

  it('stops at a test loss that is no number, and says when no checkpoint was stored', async () => {
    const model = denseModel({ normalized: true })
    const run = train(model, { ...base, bnStatistics: 'moving' })
    const spoiled = async () => {
      for await (const event of run) {
        if (event.type !== 'evaluate') continue
        const mean = model.weights.find(w => w.originalName.endsWith('moving_mean'))
        mean?.write(tf.fill([8], Number.NaN))
      }
    }
    await expect(spoiled()).rejects.toThrow(
      /^train: test loss must be finite, got NaN \(epoch 1, step 4, loss [\d.]+; no checkpoint was stored; /,
    )
  })
})

describe('memory', () => {
  it.each(['sgd', 'momentum', 'adam'] as const)('does not grow over 200 steps with %s', async name => {
    const model = denseModel({ normalized: true })
    const before = tf.memory().numTensors
    const counts: number[] = []
    const options: TrainOptions = {
      ...base,
      epochs: 50,
      evaluateEvery: 10,
      optimizer: { name, learningRate: 0.01 },
      checkpoints: memoryStore(),
    }
    for await (const event of train(model, options)) {
      if (event.type === 'checkpoint') counts.push(tf.memory().numTensors)
    }
    expect(counts.length).toBe(50)
    expect(new Set(counts).size).toBe(1)
    expect(tf.memory().numTensors).toBe(before)
  })

  it('is freed when the reader of the events leaves early', async () => {
    const model = denseModel()
    const before = tf.memory().numTensors
    for await (const event of train(model, base)) if (event.type === 'step' && event.step === 2) break
    expect(tf.memory().numTensors).toBe(before)
  })
})

describe('train refuses', () => {
  const refuse = (changed: Partial<TrainOptions>, message: string, model = denseModel()) =>
    expect(historyOf(train(model, { ...base, ...changed }))).rejects.toThrow(message)

  it('numbers out of range', async () => {
    await refuse({ epochs: 0 }, 'train: epochs must be a positive integer, got 0')
    await refuse({ batchSize: 2.5 }, 'train: batchSize must be a positive integer, got 2.5')
    await refuse({ checkpointSteps: -1 }, 'train: checkpointSteps must be a positive integer, got -1')
    await refuse({ evaluateEvery: 0 }, 'train: evaluateEvery must be a positive integer, got 0')
    await refuse({ threads: 1.5 }, 'train: threads must be a positive integer, got 1.5')
    await refuse({ seed: Number.NaN }, 'train: seed must be finite, got NaN')
    await refuse(
      { bnStatistics: 'none' as 'moving' },
      'train: bnStatistics must be recomputed or moving, got none',
    )
    await refuse(
      { earlyStop: { patience: 0 } },
      'train: earlyStop.patience must be a positive integer, got 0',
    )
  })

  it('sets that do not fit the model, and an early stop without a test set', async () => {
    await refuse({ train: brightRows(8, 4, 1) }, "train: training set must have the model's 3 classes, got 4")
    await refuse({ test: brightRows(8, 4, 1) }, "train: test set must have the model's 3 classes, got 4")
    const { test: _, ...noTest } = base
    await expect(historyOf(train(denseModel(), { ...noTest, earlyStop: { patience: 1 } }))).rejects.toThrow(
      'train: earlyStop must come with a test set, got none',
    )
  })

  it('a BatchNormalization that tfjs cannot train', async () => {
    for (const [option, value] of [
      ['scale', { scale: false }],
      ['center', { center: false }],
    ] as const) {
      const model = tf.sequential({
        layers: [
          tf.layers.flatten({ inputShape: [4, 4, 1] }),
          tf.layers.batchNormalization({ ...value, name: `norm_${option}` }),
          tf.layers.dense({ units: 3, activation: 'softmax' }),
        ],
      })
      await refuse(
        {},
        `train: layers must be such that tfjs can train, got BatchNormalization norm_${option} with ${option} false ` +
          '(withFasterLayers makes a copy of the model that can be trained)',
        model,
      )
    }
  })

  it('a dilated convolution, unless it is frozen', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({
          inputShape: [4, 4, 1],
          filters: 2,
          kernelSize: 2,
          dilationRate: 2,
          name: 'atrous',
        }),
        tf.layers.flatten({ name: 'flat' }),
        tf.layers.dense({ units: 3 }),
      ],
    })
    await refuse(
      {},
      'train: layers must be such that tfjs can train, got Conv2D atrous with dilationRate 2,2 ' +
        '(no backend of tfjs has its derivative; freezeUntil, --freeze-until LAYER on the command line, trains what comes after it)',
      model,
    )
    expect(await historyOf(train(model, { ...base, freezeUntil: 'flat' }))).toHaveLength(base.epochs)
  })

  it('a model without trainable weights', async () => {
    const model = denseModel()
    for (const layer of model.layers) layer.trainable = false
    await refuse({}, 'train: model must have trainable weights, got 0 (of 4 weights)', model)
  })
})
