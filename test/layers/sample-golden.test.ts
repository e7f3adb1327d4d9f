import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type SampleMoE, sampleMoE } from '../../src/layers/moe/sample-moe.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { golden } from './golden-values.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

type Values = (key: string) => tf.Tensor
type Options = Partial<Parameters<typeof sampleMoE>[0]>

const WEIGHTS = ['router', 'kernel', 'bias']

function goldenLayer(value: Values, options: Options): SampleMoE {
  const layer = sampleMoE({ numExperts: 3, filtersPerOutput: 2, outputs: 2, patchSize: 2, ...options })
  layer.build([null, 4, 4, 2])
  layer.setWeights(WEIGHTS.map(value))
  return layer
}

/** Mean cross-entropy of logits. */
function crossEntropy(logits: tf.Tensor, labels: tf.Tensor): tf.Scalar {
  const shares = tf.oneHot(tf.cast(labels, 'int32'), logits.shape[1]!)
  return tf.neg(tf.mean(tf.sum(tf.mul(shares, tf.logSoftmax(logits)), 1))) as tf.Scalar
}

function close(actual: tf.Tensor, expected: tf.Tensor, rtol?: number): void {
  expect(actual.shape).toEqual(expected.shape.length === 1 && actual.rank === 0 ? [] : expected.shape)
  expectAllClose(actual.dataSync(), expected.dataSync(), rtol)
}

const cases = [
  ['sample_moe_raw_cubic', { gate: 'raw', activation: 'cubic' }],
  ['sample_moe_raw_linear', { gate: 'raw', activation: 'linear' }],
  ['sample_moe_softmax_cubic', { gate: 'softmax', gateNoise: 'included', activation: 'cubic' }],
  ['sample_moe_softmax_linear', { gate: 'softmax', gateNoise: 'included', activation: 'linear' }],
  [
    'sample_moe_softmax_cubic_selection',
    { gate: 'softmax', gateNoise: 'selection-only', activation: 'cubic' },
  ],
] as const

describe.each(cases)('SampleMoE equals the reference: %s', (name, options) => {
  const start = () => {
    const value = golden(name)
    const layer = goldenLayer(value, options)
    const x = value('x') as tf.Tensor4D
    const noise = tf.gather(value('noise'), 0) as tf.Tensor2D
    return { value, layer, x, noise }
  }

  it('routes with noise and without', () => {
    const { value, layer, x, noise } = start()
    const training = layer.route(x, { noise })
    close(training.scores, value('scores'))
    close(training.chosenBy, value('noisy_scores'))
    expect(training.indices.arraySync()).toEqual(value('indices').arraySync())
    close(training.gates, value('gates'))
    const inference = layer.route(x)
    expect(inference.indices.arraySync()).toEqual(value('indices_eval').arraySync())
    close(inference.gates, value('gates_eval'))
    close(inference.chosenBy, value('scores'))
  })

  it('answers', () => {
    const { value, layer, x, noise } = start()
    const output = layer.apply(x, { noise }) as tf.Tensor
    close(output, value('output'))
    close(tf.mul(value('expert_output'), tf.expandDims(value('gates'), 1)), value('output'))
    close(layer.apply(x) as tf.Tensor, value('output_eval'))
    close(crossEntropy(output, value('labels')), value('loss'))
    close(crossEntropy(tf.softmax(output), value('labels')), value('loss_double_softmax'))
    close(layer.balanceLoss(x, { noise }), value('balance_loss'))
  })

  it('has the gradients, an expert without samples the gradient 0', () => {
    const { value, layer, x, noise } = start()
    const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
    const gradients = (loss: () => tf.Scalar) => {
      const { grads } = tf.variableGrads(loss, variables)
      return variables.map(variable => grads[variable.name]!)
    }
    const output = () => layer.apply(x, { training: true, noise }) as tf.Tensor
    const labels = value('labels')
    const losses = {
      '': () => crossEntropy(output(), labels),
      _double: () => crossEntropy(tf.softmax(output()), labels),
    }
    for (const [suffix, loss] of Object.entries(losses))
      gradients(loss).forEach((gradient, i) => {
        close(gradient, value(`d${WEIGHTS[i]}${suffix}`), 1e-3)
      })
    const balanced = () => tf.add(losses[''](), tf.mul(layer.balanceLoss(x, { noise }), 0.1)) as tf.Scalar
    const [router, kernel] = gradients(balanced)
    close(router!, value('drouter_balanced'), 1e-3)
    close(kernel!, value('dkernel'), 1e-3)
  })
})

describe.each(['raw', 'softmax'] as const)(
  'SampleMoE with pruned experts equals the reference, gate %s',
  gate => {
    const value = () => golden(`pruning_sample_moe_${gate}`)
    const rule = { gate, gateNoise: 'included' } as const

    it('answers as before pruning', () => {
      const values = value()
      const x = values('x') as tf.Tensor4D
      const layer = goldenLayer(values, { ...rule, numExperts: 4 })
      close(layer.apply(x) as tf.Tensor, values('output'))
      expect(layer.route(x).indices.arraySync()).toEqual(values('indices').arraySync())
    })

    it('answers 0 for samples that choose a pruned expert', () => {
      const values = value()
      const keep = Array.from(values('keep').dataSync())
      const prunedExperts = [0, 1, 2, 3].filter(expert => !keep.includes(expert))
      const layer = goldenLayer(key => values(key === 'router' ? key : `${key}_pruned`), {
        ...rule,
        numExperts: 4,
        prunedExperts,
      })
      close(layer.apply(values('x')) as tf.Tensor, values('output_zero'))
      expect(layer.normalizedGroups).toMatchObject([{ parts: 2 }])
    })

    it('sends them to other experts where the column of the router goes', () => {
      const values = value()
      const layer = goldenLayer(key => values(`${key}_pruned`), { ...rule, numExperts: 2 })
      const x = values('x') as tf.Tensor4D
      close(layer.apply(x) as tf.Tensor, values('output_reroute'))
      const { indices, gates } = layer.route(x)
      expect(indices.arraySync()).toEqual(values('indices_reroute').arraySync())
      close(gates, values('gates_reroute'))
    })
  },
)
