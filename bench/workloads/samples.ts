import * as tf from '@tensorflow/tfjs-core'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { fixInput } from '../../src/layers/fixed-inputs.js'
import { type MixtureForm, mixtureForm, sampleMixture } from '../../src/layers/moe/sample-mixture.js'
import type { SampleMoE } from '../../src/layers/moe/sample-moe.js'
import { sampleMoEModel } from '../../src/models/sample-moe.js'
import { createOptimizer } from '../../src/train/optimizers/optimizer.js'
import { alternate, type Contestant } from '../alternate.js'
import type { SamplesJob } from '../jobs.js'

/** Outputs of every expert. */
const OUTPUTS = 2

/**
 * Times full-batch training steps of a `SampleMoE` of cubic experts (`step`: forward, backward and normalised gradient
 * descent), and forward and backward of its experts alone, all of them (`all M`) or sorted by expert (`sorted M`), for
 * every M.
 */
export async function measureSamples(job: SamplesJob): Promise<Omit<ChildReport, 'software'>> {
  const { samples, patches, width, counts, filters } = job
  const x = fixInput(tf.randomNormal<tf.Rank.R3>([samples, patches, width], 0, 1, 'float32', 1))
  const forms = counts.map(experts => mixtureForm(samples, samples, width, sizesOf(job, experts)))
  const contestants = [
    trainingStep(job, x),
    ...counts.flatMap((experts, i) => {
      const size = typeof forms[i] === 'number' ? forms[i] : job.block
      return [
        expertsAlone(`all ${experts}`, job, x, experts, 'all'),
        expertsAlone(`sorted ${experts}`, job, x, experts, size),
      ]
    }),
  ]
  const chosenForms = counts.map((experts, i) => [`block ${experts}`, forms[i] === 'all' ? 0 : forms[i]])
  return {
    seconds: await alternate(contestants, job),
    facts: { filters: filters * OUTPUTS, ...Object.fromEntries(chosenForms) },
  }
}

function sizesOf({ patches, filters }: SamplesJob, experts: number) {
  return { experts, patches, outputs: OUTPUTS, filtersPerOutput: filters, activation: 'cubic' } as const
}

function trainingStep(job: SamplesJob, x: tf.Tensor3D): Contestant {
  const { samples, patches, width, experts, filters } = job
  const model = sampleMoEModel({
    ...{ inputShape: [patches, 1, width], patchSize: 1, numExperts: experts, filtersPerOutput: filters },
    ...{ numClasses: OUTPUTS, initialScale: 1, seed: 1 },
  })
  const layer = model.getLayer('logits') as SampleMoE
  const router = tf.randomNormal([1, 1, width, experts], 0, 0.1, 'float32', 2)
  layer.setWeights([router, ...layer.getWeights().slice(1)])
  const layerRates = [{ pattern: 'logits/router', learningRate: 0.1 }]
  const optimizer = createOptimizer({ name: 'normalized-gd', learningRate: 1e-3, layerRates }, model)
  const map = fixInput(tf.reshape(x, [samples, patches, 1, width]))
  const second = tf.greater(tf.randomUniform([samples, 1], 0, 1, 'float32', 3), 0.5)
  const labels = tf.cast(tf.concat([tf.logicalNot(second), second], 1), 'float32')
  const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
  const loss = () => {
    const logits = layer.apply(map, { training: true }) as tf.Tensor
    return tf.neg(tf.mean(tf.sum(tf.mul(labels, tf.logSoftmax(logits)), 1))) as tf.Scalar
  }
  return {
    name: 'step',
    run: () =>
      tf.tidy(() => {
        const { value, grads } = tf.variableGrads(loss, variables)
        optimizer.applyGradients(grads)
        value.dataSync()
        // The step is done when the weights are.
        tf.slice(variables[2] as tf.Tensor, [0], [1]).dataSync()
      }),
  }
}

function expertsAlone(
  name: string,
  job: SamplesJob,
  x: tf.Tensor3D,
  experts: number,
  form: MixtureForm,
): Contestant {
  const { samples, width, filters } = job
  const scores = tf.randomUniform([samples, experts], 0, 1, 'float32', 4)
  const chosen = tf.topk(scores, 1).indices as tf.Tensor2D
  const kernel = tf.randomNormal<tf.Rank.R2>([width, experts * OUTPUTS * filters], 0, 0.1, 'float32', 5)
  const bias = tf.zeros<tf.Rank.R1>([experts * OUTPUTS * filters])
  const gates = tf.ones<tf.Rank.R2>([samples, 1])
  const dy = tf.ones([samples, OUTPUTS])
  const gradients = tf.grads((...inputs: tf.Tensor[]) => {
    const [weights, shift, gate] = inputs as [tf.Tensor2D, tf.Tensor1D, tf.Tensor2D]
    return sampleMixture(
      x,
      { chosen, gates: gate },
      { kernel: weights, bias: shift },
      sizesOf(job, experts),
      form,
    )
  })
  return {
    name,
    run: () =>
      tf.tidy(() => {
        const [byKernel] = gradients([kernel, bias, gates], dy)
        tf.slice(byKernel as tf.Tensor, [0, 0], [1, 1]).dataSync()
      }),
  }
}
