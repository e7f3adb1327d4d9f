import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../../src/train/checkpoint.js'
import { type TrainEvent, type TrainOptions, train } from '../../../src/train/loop.js'
import { type MixtureMeasures, measureMixtures } from '../../../src/train/routing/mixture-measures.js'
import { newSigns, showsSigns, signsOfLife } from '../../../src/train/routing/signs-of-life.js'
import { useTestBackend } from '../../backend-under-test.js'
import { allEvents, brightRows, weightsOf } from '../tasks.js'

beforeAll(() => useTestBackend())

const well = { answer: 0.5, view: 0.9, scoredPatches: 30, keptShare: 0.6, gatedPatches: 12 }

/** Two experts that keep 16 of 64 patches. */
function measures(changes: Partial<MixtureMeasures> = {}): MixtureMeasures {
  return {
    layer: 'moe',
    patches: 64,
    patchesPerExpert: 16,
    gate: 'softmax-selected',
    images: 100,
    experts: [well, { ...well, answer: 0.1 }],
    pairs: [{ experts: [0, 1], samePatches: 0.96, difference: 0.2 }],
    routerChanges: [20, 0.5],
    ...changes,
  }
}

const found = (changes: Partial<MixtureMeasures>, isAnnealed = false) =>
  signsOfLife(measures(changes), { epoch: 3, isAnnealed }).map(({ sign, experts }) => [sign, ...experts])

describe('signsOfLife', () => {
  it('finds nothing wrong where experts differ and routers move', () => {
    expect(found({})).toEqual([])
  })

  it('finds experts that add nothing, and then nothing else of them', () => {
    const [sign] = signsOfLife(
      measures({
        experts: [well, { ...well, answer: 0.0005, view: 0 }],
        pairs: [{ experts: [0, 1], samePatches: 1, difference: 0 }],
      }),
      { epoch: 6 },
    )
    expect(sign).toMatchObject({ sign: 'dead-experts', layer: 'moe', experts: [1] })
    expect(sign?.remark).toMatch(
      /^Expert 1 of moe adds nothing to its output \(less than a thousandth of what the largest adds, on 100 images after 6 epochs\)/,
    )
    expect(found({ experts: [well, { ...well, answer: 0.0006 }] })).toEqual([])
    expect(found({ experts: [0, 0].map(answer => ({ ...well, answer })) })).toEqual([['dead-experts', 0, 1]])
  })

  it('finds experts that keep background only', () => {
    expect(found({ experts: [{ ...well, view: 1e-5 }, well] })).toEqual([['blank-experts', 0]])
    expect(found({ experts: [{ ...well, view: 2e-4 }, well] })).toEqual([])
  })

  it('finds experts that keep the same and answer alike, not those of which one of the two holds', () => {
    const pair = (samePatches: number, difference: number) =>
      found({ pairs: [{ experts: [0, 1], samePatches, difference }] })
    expect(pair(0.95, 0.01)).toEqual([['identical-experts', 0, 1]])
    expect(pair(0.94, 0)).toEqual([])
    expect(pair(1, 0.02)).toEqual([])
  })

  it('finds routers that do not move, and says why', () => {
    const remarkOf = (changes: Partial<MixtureMeasures>) =>
      signsOfLife(measures({ routerChanges: [0, 0], ...changes }), { epoch: 3 })[0]?.remark
    expect(found({ routerChanges: [5, 0.001] })).toEqual([['still-routers', 1]])
    expect(found({ routerChanges: [5, 0.002] })).toEqual([])
    expect(remarkOf({})).toMatch(
      /^The routers of all experts of moe moved by less than 0.1 % in 3 epochs.*larger learning rate/,
    )
    expect(remarkOf({ patchesPerExpert: 1 })).toContain('keep 2 patches or more')
    expect(remarkOf({ gate: 'uniform' })).toContain("Gate 'uniform' gives routers no gradient")
  })

  it('finds that more is left out than kept, where routers tell patches apart', () => {
    const short = { ...well, keptShare: 0.4, scoredPatches: 29.2 }
    const [sign] = signsOfLife(measures({ experts: [short, short] }), { epoch: 3 })
    expect(sign?.sign).toBe('few-patches')
    expect(sign?.remark).toMatch(
      /keep 16 of 64 patches, which have 40 % of the weight .* Keep about 30 \(patchesPerExpert\)\.$/,
    )
    expect(found({ experts: [short, well] })).toEqual([])
    expect(found({ experts: [short, short].map(e => ({ ...e, scoredPatches: 60 })) })).toEqual([])
    expect(found({ experts: [short, short], gate: 'uniform' })).toEqual([])
    expect(found({ experts: [short, short] }, true)).toEqual([])
  })

  it('finds that most of what is kept has no weight', () => {
    const narrow = { ...well, gatedPatches: 1.6 }
    const [sign] = signsOfLife(measures({ experts: [narrow, narrow] }), { epoch: 3 })
    expect(sign?.sign).toBe('many-patches')
    expect(sign?.remark).toContain('keeps 16 patches, but its gates lie on 1.6 of them at most')
    expect(sign?.remark).toContain('Keep about 4')
    expect(found({ experts: [narrow, { ...narrow, gatedPatches: 2.1 }] })).toEqual([])
    expect(
      found({ experts: [narrow, narrow].map(e => ({ ...e, gatedPatches: 0.9 })), patchesPerExpert: 7 }),
    ).toEqual([])
    expect(found({ experts: [narrow, narrow] }, true)).toEqual([])
  })
})

it('looks at a mixture after 3, 6, 12, ... epochs, or the next that is evaluated, and the last', () => {
  const looked = (evaluateEvery: number) =>
    Array.from({ length: 26 }, (_, i) => i + 1).filter(
      epoch =>
        (epoch % evaluateEvery === 0 || epoch === 26) &&
        showsSigns(epoch, { evaluateEvery, isLast: epoch === 26 }),
    )
  expect(looked(1)).toEqual([3, 6, 12, 24, 26])
  expect(looked(5)).toEqual([5, 10, 15, 25, 26])
  expect(showsSigns(2, { evaluateEvery: 1, isLast: true })).toBe(false)
})

it('says each sign of a layer once', () => {
  const sign = { sign: 'dead-experts', layer: 'a', experts: [1], remark: '' } as const
  const elsewhere = { ...sign, layer: 'b' }
  expect(newSigns([{ ...sign, experts: [1, 2] }, elsewhere], [sign])).toEqual([elsewhere])
})

/** Eight experts would be the paper's; four are enough to see one that is dead and two that are alike. */
function twoLayer(seed = 1): tf.LayersModel {
  return twoLayerPatchModel({
    inputShape: [8, 8, 1],
    patchSize: 2,
    numExperts: 4,
    patchesPerExpert: 6,
    hiddenUnits: 12,
    numClasses: 4,
    seed,
  })
}

function residual(): tf.LayersModel {
  const pmoe = { numExperts: 4, patchesPerExpert: 2, patchSize: 1 }
  return wideResNet({ inputShape: [8, 8, 1], numClasses: 4, depth: 10, widenFactor: 1, pmoe, seed: 1 })
}

const options: TrainOptions = {
  train: brightRows(48, 4, 1, 8),
  test: brightRows(24, 4, 2, 8),
  epochs: 4,
  batchSize: 8,
  optimizer: { name: 'momentum', learningRate: 0.05 },
  seed: 3,
}

const remarksOf = (events: readonly TrainEvent[]) =>
  events.flatMap(event => (event.type === 'remark' ? [`${event.epoch}: ${event.remark}`] : []))

/** Gives expert 1 the weights of expert 0, whose channels or numbers lie along the last axis. */
function makeAlike(model: tf.LayersModel): void {
  const layer = model.layers.find(({ weights }) => weights.some(w => /router/.test(w.originalName)))!
  const own = layer.getWeights()
  layer.setWeights(
    own.map(weight => {
      const isHead = /TwoLayer/.test(layer.getClassName()) && weight === own[2]
      const axis = isHead || own[0]!.rank !== weight.rank ? 0 : weight.rank - 1
      const [first, , ...others] = tf.split(weight, 4, axis)
      return tf.concat([first!, first!, ...others], axis)
    }),
  )
}

function withoutKernelOfFirst(model: tf.LayersModel): void {
  const layer = model.layers.find(({ weights }) => weights.some(w => /router/.test(w.originalName)))!
  const [router, kernel, ...others] = layer.getWeights()
  const [first, ...rest] = tf.split(kernel!, 4, kernel!.rank - 1)
  layer.setWeights([router!, tf.concat([tf.zerosLike(first!), ...rest], kernel!.rank - 1), ...others])
}

describe('a training', () => {
  it.each([
    ['two-layer', twoLayer],
    ['residual', residual],
  ])('has nothing to say of a healthy %s mixture', async (_, model) => {
    expect(remarksOf(await allEvents(train(model(), options)))).toEqual([])
  })

  it('says once that an expert is dead and that routers do not move, also when it is resumed', async () => {
    const faulty: TrainOptions = {
      ...options,
      optimizer: {
        name: 'sgd',
        learningRate: 0.05,
        layerRates: [{ pattern: 'logits/router', learningRate: 1e-12 }],
      },
    }
    const planted = (seed: number) => {
      const model = twoLayer(seed)
      withoutKernelOfFirst(model)
      return model
    }
    const checkpoints = memoryStore()
    const events = await allEvents(train(planted(1), { ...faulty, checkpoints }))
    const remarks = remarksOf(events)
    expect(remarks).toHaveLength(2)
    expect(remarks[0]).toMatch(/^3: Expert 0 of logits adds nothing/)
    expect(remarks[1]).toMatch(
      /^3: The routers of all experts of logits moved by less than 0.1 % in 3 epochs/,
    )

    const state = readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, latestCheckpoint)
    expect(state.history[2]?.signs?.map(({ sign }) => sign)).toEqual(['dead-experts', 'still-routers'])
    expect(remarksOf(await allEvents(train(planted(2), { ...faulty, epochs: 7, resume: state })))).toEqual([])
  })

  it('knows after a resume where routers began, unless an earlier version stored the state', async () => {
    const still: TrainOptions = { ...options, optimizer: { name: 'sgd', learningRate: 1e-9 }, epochs: 3 }
    const checkpoints = memoryStore()
    for await (const event of train(twoLayer(), { ...still, checkpoints })) {
      if (event.type === 'checkpoint' && event.epoch === 2) break
    }
    const resume = readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, latestCheckpoint)
    expect(resume.routersAtStart?.map(([path]) => path)).toEqual(['logits'])
    expect(Array.from(resume.routersAtStart![0]![1].data as Float32Array)).toEqual(weightsOf(twoLayer())[0])
    expect(remarksOf(await allEvents(train(twoLayer(2), { ...still, resume })))[0]).toMatch(
      /^3: The routers of all experts of logits moved/,
    )
    const { routersAtStart: _, ...earlier } = resume
    expect(remarksOf(await allEvents(train(twoLayer(2), { ...still, resume: earlier })))).toEqual([])
  })
})

describe('measureMixtures', () => {
  it.each([
    ['two-layer', twoLayer],
    ['residual', residual],
  ])('measures that experts of a %s mixture are alike or dead', async (_, made) => {
    const model = made()
    makeAlike(model)
    const [alike] = await measureMixtures(model, options.train, { seed: 1 })
    const pair = alike?.pairs.find(({ experts }) => experts.join() === '0,1')
    expect(pair?.samePatches).toBeCloseTo(1, 5)
    expect(pair?.difference).toBeLessThan(1e-3)
    expect(alike?.pairs.find(({ experts }) => experts.join() === '0,2')?.difference).toBeGreaterThan(0.1)
    withoutKernelOfFirst(model)
    const before = tf.memory().numTensors
    const [dead] = await measureMixtures(model, options.train, { seed: 1 })
    expect(tf.memory().numTensors).toBe(before)
    expect(dead).toMatchObject({ images: 48, gate: 'softmax-selected' })
    expect(dead?.experts[0]?.answer).toBe(0)
    expect(dead?.experts[1]?.answer).toBeGreaterThan(0)
  })
})
