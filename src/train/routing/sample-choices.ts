import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { withIntercepted } from '../../layers/intercept.js'
import { type SampleRoutingLayer, sampleRoutingLayers } from '../../layers/moe/routing-layers.js'
import { deriveSeed } from '../../random.js'

/** The layers whose routing is measured: those that choose among several experts. */
export function measuredLayers(model: tfl.LayersModel): readonly SampleRoutingLayer[] {
  return sampleRoutingLayers(model).filter(({ numExperts }) => numExperts > 1)
}

/** Which noise is added to the scores: that of a batch of a set. */
export interface BatchNoise {
  readonly seed: number
  /** Number of the batch. */
  readonly batch: number
}

/** What a layer's samples chose: indices and gates, each (B) or (B,k). The caller disposes them. */
export interface Choices {
  readonly indices: tf.Tensor
  readonly gates: tf.Tensor
}

/**
 * Runs a forward pass and notes what the samples chose in it.
 *
 * @param layers take part in the pass, each once
 * @param noise added to the scores, as in training; none unless given
 * @param run the pass; to be called within a scope of `tf.tidy`
 * @returns what `run` returned, and one entry a layer, whose tensors the caller disposes
 */
export function withChoices<Result>(
  layers: readonly SampleRoutingLayer[],
  noise: BatchNoise | undefined,
  run: () => Result,
): { readonly result: Result; readonly choices: readonly Choices[] } {
  const ofLayers = new Map<SampleRoutingLayer, Choices>()
  const result = withIntercepted(
    layers,
    (x, compute, layer) => {
      const drawn = noise && drawnNoise(layer, layers.indexOf(layer), x.shape[0], noise)
      const { indices, gates } = layer.route(x, drawn ? { noise: drawn } : {})
      const before = ofLayers.get(layer)
      if (before) tf.dispose([before.indices, before.gates])
      ofLayers.set(layer, { indices: tf.keep(indices), gates: tf.keep(gates) })
      return compute(x, drawn ? { noise: drawn } : {})
    },
    run,
  )
  return { result, choices: layers.map(layer => ofLayers.get(layer) as Choices) }
}

/** The same noise as in training, U[0, a), for every sample and expert. */
function drawnNoise(
  { routingNoise, numExperts }: SampleRoutingLayer,
  index: number,
  samples: number,
  { seed, batch }: BatchNoise,
): tf.Tensor2D | undefined {
  if (routingNoise === 0) return undefined
  const ofBatch = deriveSeed(seed, `routing noise ${index} ${batch}`)
  return tf.randomUniform([samples, numExperts], 0, routingNoise, 'float32', ofBatch)
}

/**
 * What the samples of a batch choose, without computing more than their scores need where a layer gets the images
 * themselves.
 *
 * @param x (B,H,W,C) the model's input
 */
export function choicesOf(
  model: tfl.LayersModel,
  layers: readonly SampleRoutingLayer[],
  x: tf.Tensor4D,
  noise: BatchNoise | undefined,
): Choices[] {
  const [layer] = layers
  const routesImages =
    layers.length === 1 &&
    layer?.inboundNodes.length === 1 &&
    layer.inboundNodes[0]?.inputTensors[0] === model.inputs[0]
  return tf.tidy(() => {
    // A layer that gets the images themselves needs no pass of the model.
    const drawn = routesImages && noise && drawnNoise(layer, 0, x.shape[0], noise)
    const choices = routesImages
      ? [layer.route(x, drawn ? { noise: drawn } : {})]
      : withChoices(layers, noise, () => model.apply(x, { training: false })).choices
    return choices.map(({ indices, gates }) => ({ indices: tf.keep(indices), gates: tf.keep(gates) }))
  })
}

/** Choices in memory: the numbers of the experts, (B) or (B,k), and their gates. */
export interface ReadChoices {
  readonly indices: ArrayLike<number>
  readonly gates: ArrayLike<number>
}

/** Copies choices to memory and disposes their tensors. */
export async function readChoices(choices: readonly Choices[]): Promise<readonly ReadChoices[]> {
  try {
    return await Promise.all(
      choices.map(async ({ indices, gates }) => ({
        indices: (await indices.data<'int32'>()).slice(),
        gates: (await gates.data<'float32'>()).slice(),
      })),
    )
  } finally {
    for (const { indices, gates } of choices) tf.dispose([indices, gates])
  }
}
