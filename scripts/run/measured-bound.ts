import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../../src/data/image-set.js'
import { type ImageStream, streamOf } from '../../src/data/image-stream.js'
import { withIntercepted } from '../../src/layers/intercept.js'
import {
  type InputStatistics,
  joinStatistics,
  type MixtureClass,
  noStatistics,
} from '../../src/theory/mixture-class.js'
import { mixturesOf } from '../../src/theory/mixtures.js'
import { linearRouterDimension, type SmoeBound, smoeBound } from '../../src/theory/moe-bound.js'
import { type PmoeTheory, pmoeTheory } from '../../src/theory/pmoe-theory.js'
import { classMargins, rampLoss } from '../../src/theory/ramp-loss.js'
import { type SpectralComplexity, spectralComplexity } from '../../src/theory/spectral-complexity.js'
import { hostTurns } from '../../src/train/host-turn.js'
import { type ClassifierLoss, lossOf } from '../../src/train/loss.js'
import { checkFits, upload } from '../../src/train/upload.js'

/** How a bound is measured. */
export interface BoundOptions {
  /** The bound holds with probability 1 - delta; in (0, 1). */
  readonly delta: number
  /** g, the margin from which the ramp loss is 0, above 0; the loss is 1/g-Lipschitz. */
  readonly margin: number
  readonly signal?: AbortSignal
}

/** Losses over a half of the data, in [0, 1]. */
export interface MarginLosses {
  readonly ramp: number
  /** The share of items whose class is not ahead of all others. */
  readonly zeroOne: number
  readonly count: number
}

/** The bound of one mixture of a model. */
export interface MixtureBound {
  readonly mixture: MixtureClass
  /** d_N, at most. */
  readonly routerDimension: number
  readonly bound: SmoeBound
  /** The class of one expert; without it, expertTerm is not known and is no part of the bound. */
  readonly complexity?: SpectralComplexity & { readonly gateFactor: number }
  readonly statistics: InputStatistics
  readonly theory?: PmoeTheory
}

/** What the theory says of a trained model, and what is measured. */
export interface MeasuredBound {
  readonly train: MarginLosses
  readonly test: MarginLosses
  readonly mixtures: readonly MixtureBound[]
  /** Classes that the model tells apart; the theorem is of two. */
  readonly numClasses: number
}

/** Items computed at a time. */
const BATCH = 128

/**
 * Evaluates a model on both halves of its data and the generalisation bound of each of its mixtures.
 *
 * @throws RangeError when the model has no mixture, the data do not fit it, a logit is not finite, or an option is
 *   outside its range
 */
export async function measureBound(
  model: tfl.LayersModel,
  data: { readonly train: ImageSet | ImageStream; readonly test: ImageSet | ImageStream },
  options: BoundOptions,
): Promise<MeasuredBound> {
  const mixtures = mixturesOf(model)
  if (mixtures.length === 0) {
    throw new RangeError('bound: the model must have a mixture of experts, got a model without one')
  }
  const classifier = lossOf(model)
  const statistics = new Map(mixtures.map(mixture => [mixture, noStatistics]))
  const pass = { model, classifier, options }
  const train = await lossesOver(data.train, 'train', pass, statistics)
  const test = await lossesOver(data.test, 'test', pass)
  return {
    train,
    test,
    numClasses: classifier.numClasses,
    mixtures: mixtures.map(mixture =>
      boundOf(mixture, statistics.get(mixture) as InputStatistics, train.count, options),
    ),
  }
}

/** What the bound says of one mixture, from its weights and the statistics of its training inputs. */
function boundOf(
  mixture: MixtureClass,
  statistics: InputStatistics,
  samples: number,
  { delta, margin }: BoundOptions,
): MixtureBound {
  const { experts, active, router, network, patches } = mixture
  const routerDimension = router ? linearRouterDimension(router) : 0
  const complexity = typeof network === 'string' ? undefined : complexityOf(network(statistics), samples)
  const expertComplexity = complexity ? complexity.complexity * complexity.gateFactor : 0
  const lipschitz = 1 / margin
  return {
    mixture,
    routerDimension,
    statistics,
    bound: smoeBound({ experts, active, samples, routerDimension, delta, lipschitz, expertComplexity }),
    ...(complexity && { complexity }),
    ...(patches && { theory: pmoeTheory(patches) }),
  }
}

function complexityOf(
  { gateFactor, ...network }: ReturnType<Exclude<MixtureClass['network'], string>>,
  samples: number,
) {
  return { ...spectralComplexity({ ...network, samples }), gateFactor }
}

interface Pass {
  readonly model: tfl.LayersModel
  readonly classifier: ClassifierLoss
  readonly options: BoundOptions
}

/** @param statistics of each mixture's inputs, which are added to */
async function lossesOver(
  set: ImageSet | ImageStream,
  half: string,
  { model, classifier, options: { margin, signal } }: Pass,
  statistics: Map<MixtureClass, InputStatistics> = new Map(),
): Promise<MarginLosses> {
  checkFits(model, classifier.numClasses, set, `bound: ${half}`)
  const turn = hostTurns()
  let [ramp, wrong, count] = [0, 0, 0]
  for await (const { images, labels, count: items } of streamOf(set).batches({ batchSize: BATCH })) {
    signal?.throwIfAborted()
    const compute = () => classifier.logits(upload(images, set.shape), false)
    const { logits, looks } = await readBatch(compute, [...statistics.keys()])
    for (const [mixture, [squares = 0, slope = 0, gates = 0]] of looks) {
      const before = statistics.get(mixture) as InputStatistics
      statistics.set(mixture, joinStatistics(before, { items, squares, slope, gates }))
    }
    for (const ahead of classMargins(logits, labels, logits.length / items)) {
      if (Number.isNaN(ahead)) {
        throw new RangeError(`bound: logits must be finite, got NaN (${half}, item ${count} or a later one)`)
      }
      ramp += rampLoss(ahead, margin)
      wrong += ahead <= 0 ? 1 : 0
    }
    count += items
    await turn()
  }
  return { ramp: ramp / count, zeroOne: wrong / count, count }
}

/** The logits of a batch, and what each mixture's inputs tell. */
async function readBatch(
  compute: () => tf.Tensor2D,
  mixtures: readonly MixtureClass[],
): Promise<{ logits: Float32Array; looks: Map<MixtureClass, Float32Array> }> {
  const byLayer = new Map(mixtures.map(mixture => [mixture.layers[0] as tfl.layers.Layer, mixture]))
  const seen = new Map<MixtureClass, tf.Tensor1D>()
  const logits = tf.tidy(() =>
    withIntercepted(
      [...byLayer.keys()],
      (x, forward, layer) => {
        const mixture = byLayer.get(layer) as MixtureClass
        seen.get(mixture)?.dispose()
        seen.set(mixture, tf.keep(mixture.statistics(x)))
        return forward(x)
      },
      compute,
    ),
  )
  try {
    const looks = [...seen].map(
      async ([mixture, tensor]) => [mixture, await tensor.data<'float32'>()] as const,
    )
    return { logits: await logits.data<'float32'>(), looks: new Map(await Promise.all(looks)) }
  } finally {
    tf.dispose([logits, ...seen.values()])
  }
}
