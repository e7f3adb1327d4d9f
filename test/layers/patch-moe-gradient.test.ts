import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { random } from '../../src/random.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { type BruteForceInputs, bruteForcePatchMoE, centralDifferences } from './brute-force.js'
import { applyCase, type Case, type CaseOptions, caseOf } from './cases.js'
import { type ComposedWeights, composedPatchMoE } from './composed.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const NAMES = ['router', 'kernel', 'bias', 'gamma', 'beta'] as const

/** Derivatives of sum(y * cotangent) by the input and each trained weight, by name. */
function layerGradients(c: Case, cotangent: tf.Tensor, training = true): Record<string, Float32Array> {
  const trained = c.layer.weights.filter(weight => !weight.originalName.includes('moving'))
  const loss = (x: tf.Tensor) =>
    tf.sum(tf.mul(applyCase({ ...c, x: x as tf.Tensor4D }, training), cotangent)) as tf.Scalar
  const variables = trained.map(weight => weight.read() as tf.Variable)
  const byWeight = tf.variableGrads(() => loss(c.x), variables).grads
  const gradients: Record<string, Float32Array> = { x: tf.grad(loss)(c.x).dataSync() as Float32Array }
  trained.forEach((weight, i) => {
    const name = weight.originalName.split('/').at(-1) as string
    gradients[name] = byWeight[(variables[i] as tf.Variable).name]?.dataSync() as Float32Array
  })
  return gradients
}

function cotangentOf(c: Case): Float64Array {
  const numbers = random(7, 'cotangent')
  const [batch, height, width] = c.inputs.shape
  return Float64Array.from({ length: batch * height * width * c.rule.filters }, () =>
    Math.fround(numbers.normal()),
  )
}

const SMALL: CaseOptions = { shape: [2, 4, 4, 2], patchesPerExpert: 2 }
const CASES: CaseOptions[] = []
for (const gate of ['softmax-selected', 'softmax-all', 'uniform'] as const)
  for (const preActivation of ['none', 'relu', 'batch-norm-relu'] as const)
    for (const border of ['zero', 'halo'] as const) CASES.push({ ...SMALL, gate, preActivation, border })
CASES.push(
  { ...SMALL, gateScale: 'none' },
  { ...SMALL, gate: 'softmax-all', gateScale: 'none' },
  { ...SMALL, patchSize: 1, kernelSize: 1, patchesPerExpert: 5, preActivation: 'batch-norm-relu' },
  {
    ...SMALL,
    patchSize: 1,
    kernelSize: 3,
    border: 'halo',
    patchesPerExpert: 5,
    preActivation: 'batch-norm-relu',
  },
  { ...SMALL, patchSize: 4, patchesPerExpert: 1, kernelSize: 5 },
  { ...SMALL, patchSize: [4, 2], patchesPerExpert: 1, kernelSize: [3, 1], border: 'halo' },
  { ...SMALL, patchesPerExpert: 4, numExperts: 4, border: 'halo' },
  { ...SMALL, useBias: true, activation: 'relu', curve: value => Math.max(value, 0) },
  { ...SMALL, useBias: true, activation: 'tanh', curve: Math.tanh, border: 'halo' },
  { ...SMALL, useBias: true, activation: 'sigmoid', curve: value => 1 / (1 + Math.exp(-value)) },
)

describe('gradients of PatchMoE against central differences of plain loops', () => {
  for (const options of CASES) {
    for (const training of options.preActivation === 'batch-norm-relu' ? [true, false] : [true]) {
      it(`${JSON.stringify(options)} ${training ? 'training' : 'inference'}`, () => {
        const c = caseOf({ ...options, training }, 3)
        const cotangent = cotangentOf(c)
        const shape = [...c.inputs.shape.slice(0, 3), c.rule.filters]
        const actual = layerGradients(c, tf.tensor(Float32Array.from(cotangent), shape), training)
        const by = (name: keyof BruteForceInputs) =>
          centralDifferences(
            c.inputs[name] as Float64Array,
            values => bruteForcePatchMoE({ ...c.inputs, [name]: values }, c.rule).y,
            cotangent,
          )
        expectAllClose(actual.x as Float32Array, by('x'), 1e-3, 1e-4)
        for (const name of NAMES)
          if (c.inputs[name]) expectAllClose(actual[name] as Float32Array, by(name), 1e-3, 1e-4)
        expect(Object.keys(actual).length).toBe(1 + NAMES.filter(name => c.inputs[name]).length)
      })
    }
  }
})

describe('gradients of PatchMoE against the masked form that tfjs differentiates', () => {
  for (const gate of ['softmax-selected', 'softmax-all'] as const)
    for (const border of ['zero', 'halo'] as const)
      for (const preActivation of ['none', 'batch-norm-relu'] as const)
        it(`${gate}, ${border}, ${preActivation}`, () => {
          const c = caseOf({
            gate,
            border,
            preActivation,
            shape: [3, 8, 8, 6],
            numExperts: 4,
            filters: 12,
            patchesPerExpert: 5,
            useBias: true,
          })
          const cotangent = tf.tensor(Float32Array.from(cotangentOf(c)), [3, 8, 8, 12])
          const selected = tf.tidy(() => tf.oneHot(c.layer.route(c.x).indices, 16).sum(2)) as tf.Tensor3D
          const weights: Record<string, tf.Tensor> = {}
          for (const weight of c.layer.weights)
            weights[weight.originalName.split('/').at(-1) as string] = weight.read()
          const composed = (x: tf.Tensor4D) =>
            composedPatchMoE(x, weights as unknown as ComposedWeights, c.rule, selected)
          expectAllClose(applyCase(c, true).dataSync(), composed(c.x).dataSync(), 1e-4, 1e-4)

          const actual = layerGradients(c, cotangent)
          const loss = (x: tf.Tensor) => tf.sum(tf.mul(composed(x as tf.Tensor4D), cotangent)) as tf.Scalar
          expectAllClose(actual.x as Float32Array, tf.grad(loss)(c.x).dataSync(), 1e-3, 1e-3)
          const names = NAMES.filter(name => weights[name])
          const variables = names.map(name => weights[name] as tf.Variable)
          const { grads } = tf.variableGrads(() => loss(c.x), variables)
          names.forEach((name, i) => {
            const expected = grads[(variables[i] as tf.Variable).name] as tf.Tensor
            expectAllClose(actual[name] as Float32Array, expected.dataSync(), 1e-3, 1e-3)
          })
        })
})

describe('the gradient of PatchMoE', () => {
  it.each(['elu', 'relu6', 'softplus', 'swish', 'gelu', 'selu', 'softsign', 'hardSigmoid', 'mish'] as const)(
    'follows the activation %s',
    activation => {
      // With uniform gates the layer is its linear self seen through the activation, on kept patches.
      const settings: CaseOptions = { ...SMALL, useBias: true, gate: 'uniform' }
      const linear = caseOf(settings)
      const curve = tf.layers.activation({ activation })
      const kept = tf.tidy(() => tf.cast(tf.notEqual(applyCase(linear, true), 0), 'float32'))
      const bias = linear.layer.weights[2]?.read() as tf.Variable
      const cotangent = tf.tensor(Float32Array.from(cotangentOf(linear)), [2, 4, 4, 4])
      const { grads } = tf.variableGrads(() => {
        const y = tf.mul(curve.apply(applyCase(linear, true)) as tf.Tensor, kept)
        return tf.sum(tf.mul(y, cotangent)) as tf.Scalar
      }, [bias])
      const actual = layerGradients(caseOf({ ...settings, activation }), cotangent)
      expectAllClose(actual.bias as Float32Array, (grads[bias.name] as tf.Tensor).dataSync(), 1e-3, 1e-4)
    },
  )

  it('adds up where several experts keep one patch', () => {
    const layer = patchMoE({
      numExperts: 3,
      patchesPerExpert: 1,
      patchSize: 1,
      filters: 3,
      kernelSize: 1,
      gate: 'uniform',
    })
    const x = tf.tensor4d([1, 2, 3, 9], [1, 2, 2, 1])
    layer.apply(x)
    layer.setWeights([tf.ones([1, 1, 1, 3]), tf.tensor4d([2, 5, 7], [1, 1, 1, 3])])
    // All three experts keep patch 3; dy/dx there is 2 + 5 + 7.
    const dx = tf.grad(t => tf.sum(layer.apply(t) as tf.Tensor))(x)
    expect(Array.from(dx.dataSync())).toEqual([0, 0, 0, 14])
  })

  it('reaches no router whose gate is uniform', () => {
    const c = caseOf({ gate: 'uniform' })
    const cotangent = tf.ones([2, 4, 8, 4])
    expect(Array.from(layerGradients(c, cotangent).router as Float32Array).every(value => value === 0)).toBe(
      true,
    )
  })
})
