import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { arraySource } from '../../src/data/regions/array-source.js'
import { regionStream } from '../../src/data/regions/region-records.js'
import type { RegionStream } from '../../src/data/regions/region-stream.js'
import { RoutedModel, type RoutedModelOptions, routedModel } from '../../src/models/routed-model.js'
import { random } from '../../src/random.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../src/train/checkpoint.js'
import { evaluate } from '../../src/train/evaluate.js'
import { feedOf } from '../../src/train/feed.js'
import { type TrainEvent, type TrainOptions, train } from '../../src/train/loop.js'
import { lossOf } from '../../src/train/loss.js'
import { createOptimizer } from '../../src/train/optimizers/optimizer.js'
import { recordRouting } from '../../src/train/routing/routing-record.js'
import { measureRouting } from '../../src/train/routing/routing-summary.js'
import { takeStep } from '../../src/train/step.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { allEvents, historyOf, weightsOf, withoutClock } from '../train/tasks.js'

beforeAll(() => useTestBackend())

const SHAPE = [24, 32, 1] as const

/** Black images with one bright square of 6x6, in two shades: a class each. */
function squares(count: number, seed: number, blank = false): RegionStream {
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2)
  const drawn = Array.from(labels, (label, i) => {
    const source = random(seed, `square ${i}`)
    const pixels = new Uint8Array(SHAPE[0] * SHAPE[1])
    const [top, left] = [source.below(SHAPE[0] - 6), source.below(SHAPE[1] - 6)]
    for (let y = top; y < top + 6 && !blank; y++)
      for (let x = left; x < left + 6; x++) pixels[y * SHAPE[1] + x] = 120 + 120 * label
    return { pixels, boxes: Int32Array.of(top, left, 6, 6) }
  })
  return regionStream({
    count,
    shape: SHAPE,
    labels,
    classNames: ['grey', 'white'],
    name: i => `square ${i}`,
    open: async i => arraySource(drawn[i]?.pixels ?? new Uint8Array(), SHAPE),
    objects: i => ({ boxes: drawn[i]?.boxes ?? new Int32Array(), relevant: Uint8Array.of(1) }),
  })
}

const base: RoutedModelOptions = {
  imageShape: SHAPE,
  numClasses: 2,
  cellSize: 8,
  viewScale: 2,
  patchesPerExpert: 2,
  seed: 3,
}

const options: TrainOptions<RegionStream> = {
  train: squares(26, 1),
  test: squares(10, 2),
  epochs: 4,
  batchSize: 8,
  optimizer: { name: 'adam', learningRate: 3e-3, schedule: 'cosine', clipNorm: 1 },
  seed: 5,
}

async function sourcesOf(stream: RegionStream) {
  for await (const { sources } of stream.batches({ batchSize: stream.count })) return sources
  throw new Error('there must be images')
}

describe('routedModel', () => {
  it('learns, finds the squares, and says which patches it keeps', async () => {
    const model = routedModel(base)
    const history = await historyOf(train(model, { ...options, epochs: 6 }))
    const [first, last] = [history[0], history.at(-1)]
    expect(last?.trainLoss).toBeLessThan(first?.trainLoss as number)
    expect(last?.evaluatedKept?.recall).toBeGreaterThan(0.8)
    expect(last?.kept?.blank).toBeLessThan(0.5)
    const evaluation = await evaluate(model, squares(10, 2), { batchSize: 4 })
    expect(evaluation.accuracy).toBe(last?.testAccuracy)
    expect(evaluation.kept).toEqual(last?.evaluatedKept)
    model.dispose()
  })

  it('says of whole images what it says of their parts', async () => {
    const model = routedModel({ ...base, numExperts: 2 })
    const sources = await sourcesOf(squares(3, 4))
    const probabilities = await model.predict(sources)
    const whole = Int32Array.of(0, 0, SHAPE[0], SHAPE[1])
    const pixels = await Promise.all(sources.map(source => source.regions(whole)))
    const images = tf.div(tf.stack(pixels.map(image => tf.tensor3d(image, [...SHAPE]))), 255)
    const expected = model.imageModel().predict(images) as tf.Tensor
    // Views of sources are rounded to bytes.
    expectAllClose(
      probabilities.flatMap(row => [...row]),
      expected.dataSync(),
      0,
      2e-3,
    )
    const { indices, gates, boxes } = await model.route(sources)
    expect([indices.length, gates.length, boxes.length]).toEqual([12, 12, 48])
    for (let i = 0; i < 12; i += 2) expect((gates[i] as number) + (gates[i + 1] as number)).toBeCloseTo(1, 5)
    expect([...boxes.subarray(2, 4)]).toEqual([12, 12])
  })

  it('has its routing recorded and measured, as that of a network of whole images', async () => {
    const model = routedModel({ ...base, numExperts: 2 })
    const stream = squares(5, 4)
    const sources = await sourcesOf(stream)
    const record = await recordRouting(model, stream, { batchSize: 2 })
    const { indices, gates } = await model.route(sources)
    expect(record).toEqual({
      ...{ grid: [3, 4], numExperts: 2, patchesPerExpert: 2, count: 5 },
      ...{ indices, gates: expect.any(Float32Array) },
    })
    expectAllClose(record?.gates ?? [], gates)
    const keptOnce = Array.from({ length: 5 }, (_, image) => {
      const cells = [...indices.subarray(4 * image, 4 * image + 4)]
      return cells.filter(cell => cells.indexOf(cell) === cells.lastIndexOf(cell)).length
    })
    const metrics = await measureRouting(model, stream)
    expect(metrics?.coverage.one).toBeCloseTo(keptOnce.reduce((sum, count) => sum + count) / 60)
    expect(metrics?.gates.map(({ mean }) => mean)).toEqual([expect.closeTo(0.5), expect.closeTo(0.5)])
    const cancelled = measureRouting(model, stream, { signal: AbortSignal.abort(new Error('enough')) })
    await expect(cancelled).rejects.toThrow('enough')
  })

  it('is saved and loaded as a network of three inputs', async () => {
    const model = routedModel(base)
    let artifacts: tf.io.ModelArtifacts | undefined
    await model.model.save(
      tf.io.withSaveHandler(async saved => {
        artifacts = saved
        return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } }
      }),
    )
    const network = await tf.loadLayersModel(tf.io.fromMemory(artifacts as tf.io.ModelArtifacts))
    const loaded = new RoutedModel(network, SHAPE)
    const sources = await sourcesOf(squares(3, 4))
    expect(await loaded.predict(sources)).toEqual(await model.predict(sources))
    expect(() => new RoutedModel(network, [24, 40, 1])).toThrow(
      "routedModel: imageShape must be that of the model's view, 12x16x1 at 1/2, got [24, 40, 1]",
    )
    expect(() => new RoutedModel(model.imageModel(), SHAPE)).toThrow('got 1 inputs and one')
  })

  it('resumes with the numbers of a run that was never stopped', async () => {
    const settings = { ...base, priorUntil: 0.6 }
    const uninterrupted = routedModel(settings)
    const expected = withoutClock(await historyOf(train(uninterrupted, options)))
    const checkpoints = memoryStore()
    const controller = new AbortController()
    const run = train(routedModel(settings), { ...options, checkpoints, signal: controller.signal })
    for await (const event of run)
      if (event.type === 'step' && event.epoch === 2 && event.step === 2) controller.abort()
    const stored = (await checkpoints.read(latestCheckpoint)) as Uint8Array
    const resume = readCheckpoint(stored, latestCheckpoint)
    expect(resume.running.step).toBeGreaterThan(0)
    const resumed = routedModel({ ...settings, seed: 9 })
    const history = withoutClock(await historyOf(train(resumed, { ...options, resume })))
    expect(history).toEqual(expected)
    expect(weightsOf(resumed.model)).toEqual(weightsOf(uninterrupted.model))
    const longer = allEvents(train(routedModel(settings), { ...options, epochs: 5, resume }))
    await expect(longer).rejects.toThrow(
      'train: epochs must stay 4 for a run that goes on with schedule cosine, got 5',
    )
  })

  it('remarks once that its patches are blank', async () => {
    const set = squares(8, 6, true)
    const events = await allEvents(train(routedModel(base), { ...options, train: set, test: set, epochs: 5 }))
    const remarks = events.filter(
      (event): event is TrainEvent & { type: 'remark' } => event.type === 'remark',
    )
    expect(remarks).toHaveLength(1)
    expect(remarks[0]).toMatchObject({ epoch: 3 })
    expect(remarks[0]?.remark).toMatch(
      /^100 % of the kept patches are blank after 3 epochs: the router does not/,
    )
  })

  it('computes the router once for choice and step, with the same numbers to the bit', async () => {
    const first = (use?: 'step') => {
      const routed = routedModel(base)
      const batches = feedOf(routed, squares(8, 1)).batches({ batchSize: 8 })
      return { routed, inputs: async () => (await batches[Symbol.asyncIterator]().next()).value.inputs(use) }
    }
    const stepped = async (use?: 'step') => {
      const { routed, inputs } = first(use)
      const router = routed.layer.networks.get('router')?.layers.find(layer => layer.name === 'conv1')
      let passes = 0
      router?.setCallHook(() => void passes++)
      const before = tf.memory().numTensors
      const { tensors } = await inputs()
      const classifier = lossOf(routed.model)
      const optimizer = createOptimizer({ name: 'sgd', learningRate: 0.5 }, routed.model)
      const { loss } = await takeStep(
        { model: routed.model, classifier, optimizer },
        {
          inputs: tensors,
          labels: Int32Array.from({ length: 8 }, (_, i) => i % 2),
        },
      )
      tf.dispose([...tensors])
      const left = tf.memory().numTensors - before
      return { loss, weights: weightsOf(routed.model), passes, left }
    }
    const [apart, together] = [await stepped(), await stepped('step')]
    expect([apart.passes, together.passes]).toEqual([2, 1])
    expect(together.loss).toBe(apart.loss)
    expect(together.weights).toEqual(apart.weights)
    expect(together.left).toBe(apart.left)
    // Inputs for a step that is never taken.
    const { routed, inputs } = first('step')
    const before = tf.memory().numTensors
    tf.dispose([...(await inputs()).tensors])
    expect(tf.memory().numTensors).toBeGreaterThan(before)
    await routed.layer.choose(routed.layer.viewOf(tf.zeros([1, ...SHAPE])))
    routed.dispose()
  })

  it('leaves no tensor behind', async () => {
    const model = routedModel(base)
    const sources = await sourcesOf(squares(3, 4))
    const pass = async () => {
      await model.predict(sources)
      await model.route(sources)
      await evaluate(model, squares(5, 2), { batchSize: 4 })
    }
    await pass()
    const before = tf.memory().numTensors
    await pass()
    await historyOf(train(model, { ...options, epochs: 1 }))
    expect(tf.memory().numTensors).toBe(before)
  })

  it('refuses images of another shape, and options out of range', async () => {
    const model = routedModel(base)
    const other = arraySource(new Uint8Array(24 * 30), [24, 30, 1])
    await expect(model.predict([other])).rejects.toThrow(
      'routedModel: images must be of shape [24, 32, 1], got [24, 30, 1]',
    )
    const lying = { ...arraySource(new Uint8Array(24 * 32), SHAPE), view: async () => new Uint8Array(5) }
    await expect(model.predict([lying])).rejects.toThrow(
      'routedModel: view of an image must be 192 bytes, got 5 (image 0)',
    )
    const wider = { ...squares(4, 1), shape: [24, 40, 1] as const }
    await expect(allEvents(train(model, { ...options, train: wider }))).rejects.toThrow(
      "train: training set must have images of the model's shape [24, 32, 1], got [24, 40, 1]",
    )
    expect(() => routedModel({ ...base, imageShape: [8, 32, 1] })).toThrow(
      'PatchExperts: image must be at least as large as a patch, 12x12 pixels, got 8x32',
    )
    expect(() => routedModel({ ...base, patchesPerExpert: 13 })).toThrow(
      'must be an integer in [1, 12], got 13',
    )
    expect(() => routedModel({ ...base, imageShape: [8, 8] as never })).toThrow(
      'routedModel: imageShape must be height, width and channels of an image, got [8,8]',
    )
    expect(() => routedModel({ ...base, head: x => x })).toThrow(
      'routedModel: head must return 2 logits for each image, got shape (48)',
    )
    expect(() => routedModel({ ...base, cellsize: 3 } as never)).toThrow('cellsize (nearest: cellSize)')
  })
})
