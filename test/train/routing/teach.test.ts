import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { arraySource } from '../../../src/data/regions/array-source.js'
import { regionStream } from '../../../src/data/regions/region-records.js'
import type { RegionObjects, RegionStream } from '../../../src/data/regions/region-stream.js'
import { shifted } from '../../../src/data/regions/shifted.js'
import { cellGrid } from '../../../src/layers/moe/cells.js'
import { type RoutedModel, type RoutedModelOptions, routedModel } from '../../../src/models/routed-model.js'
import { random } from '../../../src/random.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../../src/train/checkpoint.js'
import type { RouterEvent, TrainEvent } from '../../../src/train/events.js'
import { train } from '../../../src/train/loop.js'
import { boxLesson, cellsOf } from '../../../src/train/routing/box-lesson.js'
import { labelLesson } from '../../../src/train/routing/label-lesson.js'
import { type TaughtTrainOptions, teachRouter, trainTaught } from '../../../src/train/routing/teach.js'
import { useTestBackend } from '../../backend-under-test.js'
import { allEvents, historyOf, weightsOf, withoutClock } from '../tasks.js'

beforeAll(() => useTestBackend())

const SHAPE = [24, 32, 1] as const

/** A lying bar in two shades, a class each, among three standing ones, which stand out as much and say nothing. */
function bars(count: number, seed: number, objectsOf?: (own: RegionObjects) => RegionObjects): RegionStream {
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2)
  const drawn = Array.from(labels, (label, i) => {
    const chance = random(seed, `bar ${i}`)
    const pixels = new Uint8Array(SHAPE[0] * SHAPE[1])
    const paint = (height: number, width: number, value: number): Int32Array => {
      const [top, left] = [chance.below(SHAPE[0] - height), chance.below(SHAPE[1] - width)]
      for (let y = top; y < top + height; y++) {
        pixels.fill(value, y * SHAPE[1] + left, y * SHAPE[1] + left + width)
      }
      return Int32Array.of(top, left, height, width)
    }
    for (let bar = 0; bar < 3; bar++) paint(8, 2, 200)
    return { pixels, objects: { boxes: paint(2, 8, 150 + 100 * label), relevant: Uint8Array.of(1) } }
  })
  return regionStream({
    count,
    shape: SHAPE,
    labels,
    classNames: ['grey', 'white'],
    name: i => `bar ${i}`,
    open: async i => arraySource(drawn[i]?.pixels ?? new Uint8Array(), SHAPE),
    objects: i => {
      const own = drawn[i]?.objects as RegionObjects
      return objectsOf ? objectsOf(own) : own
    },
  })
}

const base: RoutedModelOptions = {
  imageShape: SHAPE,
  numClasses: 2,
  cellSize: 8,
  viewScale: 2,
  patchesPerExpert: 2,
  prior: 'none',
  seed: 3,
}
const lesson = { images: bars(12, 1), epochs: 3, batchSize: 5, learningRate: 3e-3, seed: 4 }

async function taught(run: AsyncIterable<RouterEvent>): Promise<readonly RouterEvent[]> {
  const events: RouterEvent[] = []
  for await (const event of run) events.push(event)
  return events
}

describe('cellsOf', () => {
  const grid = cellGrid([24, 32], { cell: [8, 8], margin: 2, viewScale: 2 }, 'test')

  it('are those whose patch holds 70 % of a thing', () => {
    // Patches are 12x12 around cells of 8x8: rows -2..9, 6..17, 14..25; columns the same, and 22..33.
    expect(cellsOf(grid, Int32Array.of(0, 0, 6, 6))).toEqual([0])
    expect(cellsOf(grid, Int32Array.of(6, 6, 4, 4))).toEqual([0, 1, 4, 5])
    expect(cellsOf(grid, Int32Array.of(18, 25, 6, 7))).toEqual([11])
    // A click.
    expect(cellsOf(grid, Int32Array.of(12, 12, 1, 1))).toEqual([5])
    expect(cellsOf(grid, Int32Array.of(7, 12, 1, 1))).toEqual([1, 5])
  })

  it('are, of a thing larger than a cell, those that hold as much of it as 70 % of a cell', () => {
    // 45 pixels of 64: rows 4..19 and columns 4..19 share 6 of the first and last patch's side, 12 of the middle's.
    expect(cellsOf(grid, Int32Array.of(4, 4, 16, 16))).toEqual([1, 4, 5, 6, 9])
  })

  it('are else the one that holds most, and none outside of the image', () => {
    const bare = cellGrid([24, 32], { cell: [8, 8], margin: 0, viewScale: 2 }, 'test')
    expect(cellsOf(bare, Int32Array.of(5, 4, 8, 8))).toEqual([4])
    expect(cellsOf(bare, Int32Array.of(4, 4, 8, 8))).toEqual([0])
    expect(cellsOf(bare, Int32Array.of(-9, 3, 8, 8))).toEqual([])
  })
})

/** On how many of 40 images a model keeps a patch of the lying bar. */
async function foundOf(model: RoutedModel): Promise<number> {
  let found = 0
  for await (const { sources, objects } of bars(40, 2).batches({ batchSize: 40 })) {
    const { indices } = await model.route(sources)
    for (const [i, { boxes }] of (objects ?? []).entries()) {
      const kept = indices.subarray(2 * i, 2 * i + 2)
      if (cellsOf(model.layer.grid, boxes).some(cell => kept.includes(cell))) found++
    }
  }
  return found
}

describe('teachRouter', () => {
  it('brings a router to what does not stand out, from few images', async () => {
    const model = routedModel(base)
    const experts = (): number[][] =>
      [...model.layer.networks].flatMap(([name, network]) => (name === 'router' ? [] : weightsOf(network)))
    const before = experts()
    const events = await taught(
      teachRouter(model, {
        ...lesson,
        images: shifted(bars(150, 1), { maxShift: 4, multipleOf: 2, seed: 1 }),
        epochs: 10,
        learningRate: 0.01,
      }),
    )
    expect(events.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 10 }, (_, i) => i + 1))
    expect(events.at(-1)?.loss).toBeLessThan((events[0]?.loss as number) / 2)
    expect(experts()).toEqual(before)
    expect(await foundOf(model)).toBeGreaterThan(30)
    model.dispose()
  })

  it('brings it there by the classes of images alone, without any prior', async () => {
    const model = routedModel(base)
    const images = shifted(bars(150, 1), { maxShift: 4, multipleOf: 2, seed: 1 })
    const lessonByLabels = {
      by: 'labels',
      images,
      epochs: 10,
      batchSize: 8,
      learningRate: 0.01,
      cells: 8,
    } as const
    const events = await taught(teachRouter(model, { ...lessonByLabels, seed: 3 }))
    expect(events.at(-1)?.loss).toBeLessThan(events[0]?.loss as number)
    // Two of twelve cells by chance find one in four.
    expect(await foundOf(model)).toBeGreaterThan(20)
    model.dispose()
  })

  it('minimises what it says: the loss of the first step, by hand', async () => {
    const model = routedModel({ ...base, prior: 'contrast', numExperts: 2 })
    const images = bars(3, 7)
    let expected = 0
    for await (const { sources, objects } of images.batches({ batchSize: 3 })) {
      for (const [i, source] of sources.entries()) {
        const view = tf.tensor4d(
          Float32Array.from(await source.view(2), value => value / 255),
          [1, 12, 16, 1],
        )
        const scores = model.layer.scores(view, false).arraySync()[0] as number[][]
        const cells = cellsOf(model.layer.grid, objects?.[i]?.boxes as Int32Array)
        for (const own of scores) {
          const sum = Math.log(own.reduce((total, score) => total + Math.exp(score), 0))
          for (const cell of cells) expected -= ((own[cell] as number) - sum) / (cells.length * 6)
        }
      }
    }
    const [event] = await taught(teachRouter(model, { ...lesson, images, epochs: 1 }))
    expect(event?.loss).toBeCloseTo(expected, 5)
    model.dispose()
  })

  it.each([
    ['own', { numExperts: 2 }],
    ['shared', { numExperts: 2, shareExpert: true }],
  ])(
    'asks each patch for the class by itself: the loss of the first step, by hand, with %s experts',
    async (_, own) => {
      const model = routedModel({ ...base, prior: 'contrast', ...own })
      const images = bars(3, 7)
      const routers = (): number[][] => weightsOf(model.layer.networks.get('router') as tf.LayersModel)
      const [before, router] = [weightsOf(model.model), routers()]
      const every = { by: 'labels', images, epochs: 1, batchSize: 3, learningRate: 1e-3, cells: 99 } as const
      let looks = 0
      for await (const { sources } of images.batches({ batchSize: 3 })) {
        for (const source of sources) {
          const view = tf.tensor4d(
            Float32Array.from(await source.view(2), value => value / 255),
            [1, 12, 16, 1],
          )
          // With all cells looked at, and a layer that knows nothing yet, each cell has the same share.
          for (const scores of model.layer.scores(view, false).arraySync()[0] as number[][]) {
            const sum = Math.log(scores.reduce((total, score) => total + Math.exp(score), 0))
            looks -= scores.reduce((total, score) => total + score - sum, 0) / 12
          }
        }
      }
      const [event] = await taught(teachRouter(model, { ...every, seed: 1 }))
      expect(event?.loss).toBeCloseTo(Math.log(2) + looks / 6, 5)
      expect(routers()).not.toEqual(router)
      const again = routedModel({ ...base, prior: 'contrast', ...own })
      await taught(teachRouter(again, { ...every, seed: 1 }))
      expect(weightsOf(again.model)).toEqual(weightsOf(model.model))
      expect(weightsOf(model.model)).not.toEqual(before)
      for (const each of [model, again]) each.dispose()
    },
  )

  it.each(['boxes', 'labels'] as const)('steps down the gradient of what it says, by %s', async by => {
    const model = routedModel(base)
    const options = { layer: model.layer, numClasses: 2, seed: 1, cells: 6 }
    const lesson = by === 'boxes' ? boxLesson(options) : labelLesson(options)
    for await (const batch of bars(3, 7).batches({ batchSize: 3 })) {
      const task = await lesson.task(batch)
      const { grads } = tf.variableGrads(() => task?.loss() as tf.Scalar, [...lesson.weights])
      // The bias of the scores moves all of them alike: the last but one of the router's weights, the 1x1 kernel, is what counts.
      const kernel = lesson.weights.find(({ name }) => name.includes('scores/kernel')) as tf.Variable
      const values = kernel.dataSync()
      const lossAt = (i: number, step: number): number => {
        kernel.assign(
          tf.tensor(
            values.map((value, j) => value + (i === j ? step : 0)),
            kernel.shape,
          ),
        )
        return task?.loss().dataSync()[0] as number
      }
      for (const i of [0, 5, 11]) {
        const slope = (lossAt(i, 0.05) - lossAt(i, -0.05)) / 0.1
        expect(grads[kernel.name]?.dataSync()[i]).toBeCloseTo(slope, 3)
      }
      task?.dispose()
    }
    lesson.dispose()
    model.dispose()
  })

  it('passes over images on which nothing decides, and holds no tensor afterwards', async () => {
    const some = bars(12, 1, own => (own.boxes[0]! % 2 === 0 ? own : { ...own, relevant: Uint8Array.of(0) }))
    const model = routedModel(base)
    await taught(teachRouter(model, { ...lesson, images: some, epochs: 1 }))
    const { numTensors } = tf.memory()
    const events = await taught(teachRouter(model, { ...lesson, images: some, epochs: 2 }))
    expect(events.every(({ loss }) => Number.isFinite(loss))).toBe(true)
    expect(tf.memory().numTensors).toBe(numTensors)
    await taught(teachRouter(model, { ...lesson, by: 'labels', epochs: 1 }))
    expect(tf.memory().numTensors).toBe(numTensors)
    model.dispose()
  })

  it('teaches a model of one logit by the labels of two classes', async () => {
    const losses = []
    for (const numClasses of [1, 2]) {
      const model = routedModel({ ...base, numClasses })
      losses.push(
        (await taught(teachRouter(model, { ...lesson, by: 'labels', epochs: 2 }))).map(({ loss }) => loss),
      )
      model.dispose()
    }
    expect(losses[0]).toEqual(losses[1])
  })

  it('refuses what it cannot teach by', async () => {
    const model = routedModel(base)
    const refusal = (options: Partial<typeof lesson>) => taught(teachRouter(model, { ...lesson, ...options }))
    await expect(refusal({ epochs: 0 })).rejects.toThrow(
      'teachRouter: epochs must be a positive integer, got 0',
    )
    await expect(refusal({ batchSize: 1.5 })).rejects.toThrow(
      'teachRouter: batchSize must be a positive integer, got 1.5',
    )
    await expect(refusal({ learningRate: -1 })).rejects.toThrow(
      'teachRouter: learningRate must be above 0, got -1',
    )
    await expect(refusal({ by: 'clicks' } as never)).rejects.toThrow(
      'teachRouter: by must be boxes or labels, got clicks',
    )
    await expect(refusal({ cells: 0 } as never)).rejects.toThrow(
      'teachRouter: cells must be a positive integer, got 0',
    )
    await expect(refusal({ learningRates: 1 } as never)).rejects.toThrow('learningRates')
    const fixed = routedModel(base)
    ;(fixed.layer.networks.get('router') as tf.LayersModel).trainable = false
    await expect(taught(teachRouter(fixed, lesson))).rejects.toThrow(
      'teachRouter: router must have trainable weights, got 0 (layer experts)',
    )
    fixed.dispose()
    const nothing = bars(5, 1, own => ({ ...own, relevant: Uint8Array.of(0) }))
    await expect(refusal({ images: nothing })).rejects.toThrow(
      'teachRouter: images must show something that decides a class, got 5 without',
    )
    const { batches, ...rest } = bars(5, 1)
    const unknown: RegionStream = {
      ...rest,
      async *batches(pass) {
        for await (const { objects: _, ...batch } of batches(pass)) yield batch
      },
    }
    await expect(refusal({ images: unknown })).rejects.toThrow(
      'teachRouter: images must have boxes of what is on them, got a stream without objects',
    )
    const large = { ...bars(5, 1), shape: [32, 32, 1] } as const
    await expect(refusal({ images: large })).rejects.toThrow(
      "teachRouter: images must have images of the model's shape [24, 32, 1], got [32, 32, 1]",
    )
    model.dispose()
  })
})

const options: TaughtTrainOptions = {
  train: bars(20, 1),
  test: bars(10, 2),
  epochs: 2,
  batchSize: 8,
  optimizer: { name: 'adam', learningRate: 3e-3, clipNorm: 1 },
  seed: 5,
  teaching: { images: bars(6, 1), epochs: 2, learningRate: 3e-3 },
}

describe('trainTaught', () => {
  it('tells of the router, then trains all of the model', async () => {
    const model = routedModel(base)
    const kinds = (await allEvents(trainTaught(model, options))).map(({ type }) => type)
    const steps = ['step', 'step', 'step', 'evaluate', 'epoch']
    expect(kinds).toEqual(['routers', 'routers', 'start', ...steps, ...steps, 'end'])
    model.dispose()
  })

  it('ends in the same numbers when it is resumed', async () => {
    const whole = routedModel(base)
    const history = withoutClock(await historyOf(trainTaught(whole, options)))
    const stopped = routedModel(base)
    const checkpoints = memoryStore()
    const stop = new AbortController()
    for await (const event of trainTaught(stopped, { ...options, checkpoints, signal: stop.signal }))
      if (event.type === 'epoch') stop.abort()
    const bytes = await checkpoints.read(latestCheckpoint)
    const resume = readCheckpoint(bytes as Uint8Array, 'checkpoint')
    const resumed = routedModel({ ...base, seed: 99 })
    const rest = await allEvents(trainTaught(resumed, { ...options, resume }))
    expect(rest.some(({ type }) => type === 'routers')).toBe(false)
    expect(withoutClock((rest.at(-1) as TrainEvent & { type: 'end' }).history as never)).toEqual(history)
    expect(weightsOf(resumed.model)).toEqual(weightsOf(whole.model))
    for (const model of [whole, stopped, resumed]) model.dispose()
  })

  it('ends where it is stopped in the teaching, and refuses before it teaches', async () => {
    const model = routedModel(base)
    const stop = new AbortController()
    const kinds: string[] = []
    for await (const event of trainTaught(model, { ...options, signal: stop.signal })) {
      kinds.push(event.type)
      stop.abort()
    }
    expect(kinds).toEqual(['routers', 'stop', 'end'])
    const before = weightsOf(model.model)
    await expect(allEvents(trainTaught(model, { ...options, epochs: 0 }))).rejects.toThrow(
      'train: epochs must be a positive integer, got 0',
    )
    await expect(
      allEvents(trainTaught(model, { ...options, teaching: { ...options.teaching, epochs: 1.5 } })),
    ).rejects.toThrow('teachRouter: epochs must be a positive integer, got 1.5')
    expect(weightsOf(model.model)).toEqual(before)
    const { teaching: _, ...plain } = options
    expect(await historyOf(train(model, plain))).toHaveLength(2)
    model.dispose()
  })
})
