import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { collectAuxiliaryTerms } from '../../src/layers/auxiliary-terms.js'
import { type SampleExpertsOptions, sampleExperts } from '../../src/layers/moe/sample-experts.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { drawTensor } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const SHAPE = [4, 4, 2]
const OUTPUTS = 3

/** A small convolutional network, another for each expert. */
function network(inputShape: readonly number[], k: number): tf.LayersModel {
  return tf.sequential({
    layers: [
      tf.layers.conv2d({
        inputShape: [...inputShape],
        filters: 2 + k,
        kernelSize: 3,
        activation: 'tanh',
        kernelInitializer: tf.initializers.glorotUniform({ seed: k + 1 }),
        name: 'conv',
      }),
      tf.layers.globalAveragePooling2d({ name: 'pool' }),
      tf.layers.dense({
        units: OUTPUTS,
        kernelInitializer: tf.initializers.glorotUniform({ seed: k + 11 }),
        name: 'logits',
      }),
    ],
  })
}

const plain = { numExperts: 3, expert: network, patchSize: 2 } as const satisfies SampleExpertsOptions

/** A built layer whose router draws samples to different experts. */
function built(options: Partial<SampleExpertsOptions> = {}) {
  const layer = sampleExperts({ ...plain, ...options })
  const input = tf.input({ shape: SHAPE })
  const model = tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor })
  const router = layer.weights[0] as (typeof layer.weights)[number]
  router.write(drawTensor(router.shape as number[], 5))
  return { layer, model }
}

/** Each sample alone through each expert that it chooses, gates and sum in plain numbers. */
function bruteForce(layer: ReturnType<typeof built>['layer'], x: tf.Tensor4D): number[][] {
  const router = layer.weights[0]?.read().arraySync() as number[][][][] // (h,w,C,M)
  const bias = layer.routerBias ? (layer.weights[1]?.read().arraySync() as number[]) : undefined
  const networks = [...layer.networks.values()]
  return x.arraySync().map((sample, b) => {
    const h = networks.map((_, m) => {
      let score = 0
      for (const [y, row] of sample.entries())
        for (const [c, pixel] of row.entries())
          for (const [z, value] of pixel.entries())
            score += value * (router[y % 2]?.[c % 2]?.[z]?.[m] as number)
      return score + (bias?.[m] ?? 0) * 4
    })
    const total = h.reduce((sum, score) => sum + Math.exp(score), 0)
    const gates = h.map(score =>
      layer.gate === 'softmax' ? Math.exp(score) / total : layer.gate === 'raw' ? score : 1,
    )
    const chosen = h
      .map((score, m) => ({ score, m }))
      .sort((a, b) => b.score - a.score || a.m - b.m)
      .slice(0, layer.expertsPerSample)
    const result = new Array<number>(OUTPUTS).fill(0)
    for (const { m } of chosen) {
      const own = (networks[m] as tf.LayersModel).predict(tf.slice(x, b, 1)) as tf.Tensor
      for (let d = 0; d < OUTPUTS; d++)
        result[d] = (result[d] as number) + (gates[m] as number) * (own.dataSync()[d] as number)
    }
    return result
  })
}

const CASES: Partial<SampleExpertsOptions>[] = []
for (const dispatch of ['chosen', 'all'] as const)
  for (const gate of ['softmax', 'raw', 'uniform'] as const)
    for (const expertsPerSample of [1, 2, 3]) CASES.push({ dispatch, gate, expertsPerSample })
CASES.push({ gateNoise: 'included' }, { routerBias: true }, { numExperts: 1 })

type Built = ReturnType<typeof built>

/** sum(y * cotangent) in training. */
function lossOf({ model }: Built, x: tf.Tensor4D, cotangent: tf.Tensor): tf.Scalar {
  return tf.sum(tf.mul(model.apply(x, { training: true }) as tf.Tensor, cotangent))
}

describe('SampleExperts', () => {
  it.each(CASES)('computes each sample through its experts alone: %o', options => {
    const { layer, model } = built(options)
    const x = drawTensor<tf.Tensor4D>([9, ...SHAPE], 2)

    const { indices } = layer.route(x)
    if (layer.numExperts > 1) expect(new Set(indices.dataSync()).size).toBeGreaterThan(1)
    expectAllClose((model.predict(x) as tf.Tensor2D).arraySync(), bruteForce(layer, x))
  })

  it.each(CASES)('has the gradients that finite differences give: %o', options => {
    const made = built({ ...options, routingNoise: 0 })
    const { layer } = made
    const x = drawTensor<tf.Tensor4D>([6, ...SHAPE], 2)
    const cotangent = drawTensor([6, OUTPUTS], 3)
    const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)

    const { grads } = tf.variableGrads(() => lossOf(made, x, cotangent), variables)
    for (const [i, variable] of variables.entries()) {
      const direction = drawTensor(variable.shape, 20 + i)
      const [higher, lower] = [1, -1].map(sign => {
        const start = variable.clone()
        variable.assign(tf.add(start, tf.mul(direction, sign * 2e-3)))
        const value = lossOf(made, x, cotangent).dataSync()[0] as number
        variable.assign(start)
        return value
      }) as [number, number]
      const slope = tf.sum(tf.mul(grads[variable.name] as tf.Tensor, direction)).dataSync()[0] as number
      expect(Math.abs(slope - (higher - lower) / 4e-3)).toBeLessThan(2e-3 + 5e-3 * Math.abs(slope))
    }
  })

  it('passes the gradient by its input through the chosen experts and the gate', () => {
    const made = built({ routingNoise: 0, expertsPerSample: 2 })
    const cotangent = drawTensor([5, OUTPUTS], 3)
    const x = drawTensor<tf.Tensor4D>([5, ...SHAPE], 2)
    const direction = drawTensor<tf.Tensor4D>([5, ...SHAPE], 4)

    const gradient = tf.grad(input => lossOf(made, input as tf.Tensor4D, cotangent))(x)
    const at = (step: number) =>
      lossOf(made, tf.add(x, tf.mul(direction, step)) as tf.Tensor4D, cotangent).dataSync()[0] as number
    const slope = tf.sum(tf.mul(gradient, direction)).dataSync()[0] as number
    expect(Math.abs(slope - (at(1e-3) - at(-1e-3)) / 2e-3)).toBeLessThan(2e-3 + 5e-3 * Math.abs(slope))
  })

  it('sends every sample to the first expert at the start, and gives the others gradient 0', () => {
    const { layer, model } = built({ routingNoise: 0 })
    layer.weights[0]?.write(tf.zeros([2, 2, 2, 3]))
    const x = drawTensor<tf.Tensor4D>([4, ...SHAPE], 2)
    const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)

    const { grads } = tf.variableGrads(
      () => tf.sum(model.apply(x, { training: true }) as tf.Tensor),
      variables,
    )
    const largest = layer.trainableWeights.map((weight, i): [string, number] => [
      weight.originalName,
      tf.max(tf.abs(grads[(variables[i] as tf.Variable).name] as tf.Tensor)).dataSync()[0] as number,
    ])
    expect([...layer.route(x).indices.dataSync()]).toEqual([0, 0, 0, 0])
    for (const [name, value] of largest) {
      if (/expert_[12]/.test(name)) expect(value).toBe(0)
      if (/expert_0/.test(name)) expect(value).toBeGreaterThan(0)
    }
  })

  it('draws the noise of a step from its seed, within its range, and none in inference', () => {
    const { layer, model } = built({ gate: 'uniform', routingNoise: 50 })
    const x = drawTensor<tf.Tensor4D>([32, ...SHAPE], 2)
    const output = (training: boolean) => (model.apply(x, { training }) as tf.Tensor).dataSync()
    layer.useStepSeed(7)
    const first = output(true)
    expectAllClose(output(true), first)
    layer.useStepSeed(8)
    expect(output(true)).not.toEqual(first)
    expect(output(false)).toEqual(output(false))
    expectAllClose(output(false), (model.predict(x) as tf.Tensor).dataSync())
  })

  it('draws differently in each step from a seed of its own, and the same in a second layer', () => {
    const x = drawTensor<tf.Tensor4D>([32, ...SHAPE], 2)
    const passes = [0, 1].map(() => {
      const { model } = built({ gate: 'uniform', routingNoise: 50, seed: 3 })
      return [0, 1].map(() => (model.apply(x, { training: true }) as tf.Tensor).dataSync())
    })
    expect(passes[0]?.[0]).not.toEqual(passes[0]?.[1])
    expect(passes[1]).toEqual(passes[0])
  })

  it('routes with given noise as the brute force does', () => {
    const { layer } = built({ gateNoise: 'included' })
    const x = drawTensor<tf.Tensor4D>([9, ...SHAPE], 2)
    const noise = tf.mul(drawTensor<tf.Tensor2D>([9, 3], 4), 10) as tf.Tensor2D
    const { chosenBy, indices, scores } = layer.route(x, { noise })
    expectAllClose(chosenBy.dataSync(), tf.add(scores, noise).dataSync())
    expect([...indices.dataSync()]).toEqual([...tf.argMax(chosenBy, 1).dataSync()])
  })

  it('takes noise given in a call in the place of drawn one, and refuses other shapes', () => {
    const { layer, model } = built({ gate: 'uniform' })
    const x = drawTensor<tf.Tensor4D>([4, ...SHAPE], 2)
    const noise = tf.tensor2d(Array.from({ length: 4 }, () => [0, 0, 100]))
    const third = [...layer.networks.values()][2] as tf.LayersModel
    const output = layer.call(x, { training: true, noise })
    expectAllClose(output.dataSync(), (third.predict(x) as tf.Tensor).dataSync())
    expect(model.outputs[0]?.shape).toEqual([null, OUTPUTS])
    expect(() => layer.route(x, { noise: tf.zeros([4, 2]) })).toThrow(/of shape \[4, 3\], got \[4, 2\]/)
  })

  it('must be built before use', () => {
    const layer = sampleExperts(plain)
    for (const use of [
      () => layer.getConfig(),
      () => layer.grid,
      () => layer.computeOutputShape([null, 4, 4, 2]),
    ])
      expect(use).toThrow(/the layer must be built before use/)
  })

  it('adds its balance term where a step collects terms', () => {
    const { layer, model } = built({ routingNoise: 0 })
    const x = drawTensor<tf.Tensor4D>([8, ...SHAPE], 2)
    const { terms } = collectAuxiliaryTerms(() => model.apply(x, { training: true }))
    const balance = layer.balanceLoss(x).dataSync()
    expect(balance[0]).toBeGreaterThan(0)
    expectAllClose(terms.get('load-balance')?.dataSync() as Float32Array, balance)
    expect(collectAuxiliaryTerms(() => model.predict(x)).terms.size).toBe(0)
  })

  it('groups the weights of each expert for normalised steps', () => {
    const { layer } = built()
    expect(
      layer.normalizedGroups.map(({ weights, parts }) => [
        weights.map(({ originalName }) => originalName),
        parts,
      ]),
    ).toEqual(
      [0, 1, 2].map(m => [
        ['conv/kernel', 'conv/bias', 'logits/kernel', 'logits/bias'].map(
          name => `${layer.name}/expert_${m}/${name}`,
        ),
        1,
      ]),
    )
  })

  it('gives NaN for samples with scores that are not finite, and leaves the others alone', () => {
    const { model } = built()
    const x = drawTensor<tf.Tensor4D>([3, ...SHAPE], 2)
    const damaged = x.bufferSync()
    damaged.set(Number.NaN, 1, 0, 0, 0)
    const output = (model.predict(damaged.toTensor()) as tf.Tensor2D).arraySync()
    const clean = (model.predict(x) as tf.Tensor2D).arraySync()
    expect(output[1]?.every(Number.isNaN)).toBe(true)
    expectAllClose([output[0], output[2]], [clean[0], clean[2]])
  })

  it('keeps no tensors', () => {
    const { model } = built({ expertsPerSample: 2 })
    const x = drawTensor<tf.Tensor4D>([5, ...SHAPE], 2)
    const apply = () => tf.tidy(() => void model.apply(x, { training: true }))
    apply()
    const before = tf.memory().numTensors
    apply()
    expect(tf.memory().numTensors).toBe(before)
    model.dispose()
    expect(tf.memory().numTensors).toBe(before - 13)
  })

  it.each<[string, Partial<SampleExpertsOptions>, RegExp]>([
    ['no factory', { expert: undefined as never }, /expert must be a function .*, got undefined/],
    [
      'a gate that does not exist',
      { gate: 'top' as never },
      /gate must be one of 'softmax', 'raw', 'uniform', got "top"/,
    ],
    [
      'raw gates without noise',
      { gate: 'raw', gateNoise: 'selection-only' },
      /gateNoise with gate 'raw' must be one of 'included', got "selection-only"/,
    ],
    [
      'uniform gates with noise',
      { gate: 'uniform', gateNoise: 'included' },
      /gateNoise with gate 'uniform' must be one of 'selection-only', got "included"/,
    ],
    ['negative noise', { routingNoise: -1 }, /routingNoise must be a number of at least 0, got -1/],
    [
      'endless noise',
      { routingNoise: Infinity },
      /routingNoise must be a number of at least 0, got Infinity/,
    ],
    [
      'too many experts a sample',
      { expertsPerSample: 4 },
      /expertsPerSample must be an integer in \[1, 3\], got 4/,
    ],
    ['no experts', { numExperts: 0 }, /numExperts must be a positive integer, got 0/],
    ['patches that do not divide', { patchSize: 3 }, /patchSize must divide the map, got 3x3 \(map 4x4\)/],
    [
      'a dispatch that does not exist',
      { dispatch: 'some' as never },
      /dispatch must be one of 'chosen', 'all', got "some"/,
    ],
    ['too few names', { expertNames: ['a'] }, /expertNames must be 3 different names, .*got \["a"\]/],
    ['an unknown option', { patchesize: 2 } as never, /got patchesize \(nearest: patchSize\)/],
  ])('refuses %s', (_, options, message) => {
    expect(() => built(options)).toThrow(message)
  })
})
