import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../../../src/data/image-set.js'
import { SampleMoE } from '../../../src/layers/moe/sample-moe.js'
import { deriveSeed } from '../../../src/random.js'
import { RoutingTally, type SampleRoutingMetrics } from '../../../src/train/routing/sample-routing-metrics.js'
import type { ClusterRouting } from '../cell-result.js'

/** The samples of a cell, and the seed of the noise that they are routed with. */
export interface RoutedSamples {
  readonly train: ImageSet
  readonly test: ImageSet
  readonly seed: number
}

/** What a mixture does with the clusters, at the time of the call. */
export interface RoutedClusters {
  test(): Promise<ClusterRouting>
  noisyTest(): Promise<ClusterRouting>
  noisyTrain(): Promise<ClusterRouting>
  /** Share of the test samples that are right with the noise of `noisyTest`. */
  noisyAccuracy(): Promise<number>
  dispose(): void
}

/**
 * Keeps the samples on the backend and routes them, as often as asked.
 *
 * @param model whose input its one `SampleMoE` takes; the outputs of this layer are the logits of the classes
 * @returns undefined for a model without experts to choose from
 * @throws RangeError for samples without clusters
 */
export function routedClusters(
  model: tfl.LayersModel,
  { train, test, seed }: RoutedSamples,
): RoutedClusters | undefined {
  const layer = model.layers.find((each): each is SampleMoE => each instanceof SampleMoE)
  if (!layer || layer.numExperts === 1) return undefined
  const [ofTrain, ofTest] = [onBackend(train), onBackend(test)]
  const noiseSeed = deriveSeed(seed, 'routing noise')
  return {
    test: () => routing(layer, ofTest),
    noisyTest: () => routing(layer, ofTest, noiseSeed),
    noisyTrain: () => routing(layer, ofTrain, noiseSeed),
    noisyAccuracy: () => accuracy(layer, ofTest, test.labels, noiseSeed),
    dispose: () => tf.dispose([ofTrain.samples, ofTest.samples]),
  }
}

interface SamplesOnBackend {
  readonly samples: tf.Tensor4D
  readonly set: ImageSet
}

function onBackend(set: ImageSet): SamplesOnBackend {
  const { images, count, shape, groups, groupNames } = set
  if (!groups || !groupNames) throw new RangeError('study: samples must have clusters, got none')
  return { samples: tf.tensor4d(images, [count, ...shape], 'float32'), set }
}

async function routing(
  layer: SampleMoE,
  { samples, set }: SamplesOnBackend,
  noiseSeed?: number,
): Promise<ClusterRouting> {
  const { indices, gates } = tf.tidy(() => {
    const routed = layer.route(
      samples,
      noiseSeed === undefined ? {} : { noise: noiseOf(layer, samples, noiseSeed) },
    )
    return { indices: routed.indices, gates: routed.gates }
  })
  const [chosen, weights] = await Promise.all([indices.data(), gates.data()])
  tf.dispose([indices, gates])
  const tally = new RoutingTally([layer], set)
  tally.count(set, [{ indices: chosen as Int32Array, gates: weights as Float32Array }])
  const [{ dispatch, deadExperts, negativeGates }] = tally.metrics() as [SampleRoutingMetrics]
  return {
    entropy: dispatch.entropy,
    counts: dispatch.counts,
    deadExperts: deadExperts.length,
    negativeGates,
  }
}

async function accuracy(
  layer: SampleMoE,
  { samples }: SamplesOnBackend,
  labels: Int32Array,
  noiseSeed: number,
): Promise<number> {
  const classes = tf.tidy(() => {
    const logits = layer.apply(samples, { noise: noiseOf(layer, samples, noiseSeed) }) as tf.Tensor2D
    return tf.argMax(logits, 1)
  })
  const answers = await classes.data()
  classes.dispose()
  return answers.filter((answer, sample) => answer === labels[sample]).length / labels.length
}

/** (B,M) as in training, but the same each time. */
function noiseOf(layer: SampleMoE, samples: tf.Tensor4D, seed: number): tf.Tensor2D {
  return tf.randomUniform([samples.shape[0], layer.numExperts], 0, layer.routingNoise, 'float32', seed)
}
