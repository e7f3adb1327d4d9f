import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { StoredTensor } from '../../data/formats/safetensors.js'
import { withIntercepted } from '../../layers/intercept.js'
import { placedLayers } from '../../layers/layer-paths.js'
import type { Gate } from '../../layers/moe/gates.js'
import { PatchMoE } from '../../layers/moe/patch-moe.js'
import { patchVectors } from '../../layers/moe/patches.js'
import { routerScores } from '../../layers/moe/routing.js'
import { TwoLayerExperts } from '../../layers/moe/two-layer-experts.js'
import { deriveSeed } from '../../random.js'
import { type FedBatch, feedOf, type WholeImages } from '../feed.js'
import { weightName } from '../layer-patterns.js'
import { storeTensor } from '../stored-tensors.js'

/** What one expert does on some images. */
export interface ExpertMeasures {
  /** Root of the mean square of what it adds to the layer's output, over images and pixels. */
  readonly answer: number
  /** Variance of the patches that it keeps, as a share of that of all patches of the maps; 0 where all it keeps is alike. */
  readonly view: number
  /** Mean over images of exp(entropy) of softmax(its scores of all patches), in [1, N]. */
  readonly scoredPatches: number
  /** Mean over images of the share that the kept patches have of that softmax, in [0, 1]. */
  readonly keptShare: number
  /** Mean over images of exp(entropy) of its gates, in [1, L]: how many of the kept patches count. */
  readonly gatedPatches: number
}

/** How alike two experts of a layer are. */
export interface ExpertPair {
  readonly experts: readonly [number, number]
  /** Mean over images of the share of kept patches that both keep, in [0, 1]. */
  readonly samePatches: number
  /** Root mean square of the difference of what they add, as a share of that of the one that adds more. */
  readonly difference: number
}

/** What a layer of experts does on some images. */
export interface MixtureMeasures {
  /** Its path in the network. */
  readonly layer: string
  /** N, the patches that it chooses from. */
  readonly patches: number
  /** L. */
  readonly patchesPerExpert: number
  readonly gate: Gate
  /** Images that were measured. */
  readonly images: number
  /** (K) */
  readonly experts: readonly ExpertMeasures[]
  readonly pairs: readonly ExpertPair[]
  /**
   * (K) how far each expert's router is from where the training began, as a share of its length there; only where it is trained
   * and its beginning is known.
   */
  readonly routerChanges?: readonly number[]
}

type ExpertsLayer = PatchMoE | TwoLayerExperts

interface PlacedMixture {
  readonly path: string
  readonly layer: ExpertsLayer
}

/** The layers of a network's graph, those of nested models included, whose experts keep patches; each once. */
function mixturesWithin(model: tfl.LayersModel): readonly PlacedMixture[] {
  const paths = new Map<ExpertsLayer, string>()
  for (const { path, layer } of placedLayers(model)) {
    if (layer instanceof PatchMoE || layer instanceof TwoLayerExperts) paths.set(layer, path)
  }
  return [...paths].map(([layer, path]) => ({ path, layer }))
}

/** The routers of a network that are trained, as they were when the training began: by the paths of their layers, in order. */
export type StoredRouters = readonly (readonly [path: string, router: StoredTensor])[]

/** Copies the routers of a network that are trained. */
export async function readRouters(model: tfl.LayersModel): Promise<StoredRouters> {
  const stored: [string, StoredTensor][] = []
  for (const { path, router } of trainedRouters(model)) stored.push([path, await storeTensor(router.read())])
  return stored
}

function trainedRouters(model: tfl.LayersModel) {
  const trained = new Set(model.trainableWeights)
  return mixturesWithin(model).flatMap(({ path, layer }) => {
    // Not the first: weights that are not trained come last.
    const router = layer.weights.find(weight => weightName(weight) === 'router')
    return router && trained.has(router) ? [{ path, layer, router }] : []
  })
}

/** Of each layer whose router is trained, (K) how far it is from its beginning; none where the beginning is not of this network. */
async function routerChanges(
  model: tfl.LayersModel,
  start: StoredRouters,
): Promise<ReadonlyMap<ExpertsLayer, readonly number[]>> {
  const changes = new Map<ExpertsLayer, readonly number[]>()
  for (const [i, { layer, router }] of trainedRouters(model).entries()) {
    const before = start[i]?.[1]
    if (before?.shape.join() !== router.shape.join()) return new Map()
    changes.set(layer, changesOf(before.data as Float32Array, await router.read().data(), layer.numExperts))
  }
  return changes
}

/** @param before (numbers of a patch, K), row by row, as `after` */
function changesOf(before: ArrayLike<number>, after: ArrayLike<number>, numExperts: number): number[] {
  const [moved, size] = [new Float64Array(numExperts), new Float64Array(numExperts)]
  for (let i = 0; i < before.length; i++) {
    moved[i % numExperts]! += (after[i]! - before[i]!) ** 2
    size[i % numExperts]! += before[i]! ** 2
  }
  return Array.from(moved, (value, expert) => (value === 0 ? 0 : Math.sqrt(value / size[expert]!)))
}

/** Images that experts are measured on, at most: as many as evaluations compute at a time. */
const MEASURED_IMAGES = 128

/** How experts are measured. */
export interface MeasureOptions {
  /** Chooses the images. */
  readonly seed: number
  /** The routers as they were when the training began, where that is known. */
  readonly routersAtStart?: StoredRouters | undefined
}

/**
 * Measures what the experts of a network do, in inference mode, on up to 128 images of a set, computed at once.
 *
 * @returns one entry for each layer whose experts keep some of the patches and not all
 */
export async function measureMixtures(
  model: tfl.LayersModel,
  set: WholeImages,
  { seed, routersAtStart = [] }: MeasureOptions,
): Promise<readonly MixtureMeasures[]> {
  const mixtures = mixturesWithin(model).filter(({ layer }) => layer.patchesPerExpert < layer.grid.count)
  if (mixtures.length === 0) return []
  const changes = await routerChanges(model, routersAtStart)
  const shuffle = { seed: deriveSeed(seed, 'signs of life'), epoch: 0 }
  const images = Math.min(MEASURED_IMAGES, set.count)
  const rows = await layerNumbers(
    model,
    mixtures,
    feedOf(model, set).batches({ batchSize: images, shuffle, end: images }),
  )
  return mixtures.map(({ path, layer }, i) => {
    const routerChange = changes.get(layer)
    return {
      layer: path,
      patches: layer.grid.count,
      patchesPerExpert: layer.patchesPerExpert,
      gate: layer.gate,
      images,
      ...expertsOf(layer.numExperts, rows[i] as Float32Array),
      ...(routerChange && { routerChanges: routerChange }),
    }
  })
}

/** The numbers of each layer in one row, of the first batch. */
async function layerNumbers(
  model: tfl.LayersModel,
  mixtures: readonly PlacedMixture[],
  batches: AsyncIterable<FedBatch>,
): Promise<readonly Float32Array[]> {
  for await (const batch of batches) {
    const { tensors } = await batch.inputs()
    const rows = rowsOf(model, mixtures, tensors)
    try {
      return await Promise.all(rows.map(row => row.data<'float32'>()))
    } finally {
      tf.dispose([...tensors, ...rows])
    }
  }
  return []
}

function rowsOf(
  model: tfl.LayersModel,
  mixtures: readonly PlacedMixture[],
  inputs: readonly tf.Tensor[],
): readonly tf.Tensor1D[] {
  const layers = mixtures.map(({ layer }) => layer)
  return tf.tidy(() => {
    const ofLayers = new Map<ExpertsLayer, tf.Tensor1D>()
    withIntercepted(
      layers,
      (x, compute, layer) => {
        const output = compute(x)
        // The model's own scopes must not dispose it. A layer that stands at several places is measured at the last of them.
        ofLayers.get(layer)?.dispose()
        ofLayers.set(layer, tf.keep(inOneRow(layerTensors(layer, x, output))))
        return output
      },
      () => model.apply(inputs.length === 1 ? (inputs[0] as tf.Tensor) : [...inputs], { training: false }),
    )
    return layers.map(layer => ofLayers.get(layer) as tf.Tensor1D)
  })
}

/** What is read of a layer: each number is a sum or a mean that the backend computed. */
interface LayerTensors {
  /** (K,K) inner products of what two experts add, over images and pixels. */
  readonly products: tf.Tensor
  /** (K,K) mean share of kept patches that two experts have in common. */
  readonly common: tf.Tensor
  /** (K) variance of kept patches, and then that of all patches. */
  readonly views: tf.Tensor
  /** (K) each. */
  readonly scoredPatches: tf.Tensor
  readonly keptShare: tf.Tensor
  readonly gatedPatches: tf.Tensor
  /** (1) numbers that each of `products` sums over. */
  readonly size: tf.Tensor
}

function inOneRow({ products, common, ...rest }: LayerTensors): tf.Tensor1D {
  return tf.tidy(() => tf.concat([products, common, ...Object.values(rest)].map(t => tf.reshape(t, [-1]))))
}

function layerTensors(layer: ExpertsLayer, x: tf.Tensor4D, output: tf.Tensor): LayerTensors {
  const { grid, numExperts, patchesPerExpert } = layer
  const { indices, gates } = layer.route(x)
  const kept = maskOf(indices, grid.count)
  const answers = answersOf(layer, x, output)
  const scores = routerScores(x, layer.weights[0]?.read() as tf.Tensor4D, grid)
  const shares = tf.softmax(scores)
  const weights = tf.div(gates, tf.sum(gates, 2, true))
  return {
    products: tf.matMul(answers, answers, false, true),
    common: tf.mean(tf.div(tf.matMul(kept, kept, false, true), patchesPerExpert), 0),
    views: views(patchVectors(x, grid), kept, numExperts),
    scoredPatches: tf.mean(effectiveNumber(shares), 0),
    keptShare: tf.mean(tf.sum(tf.mul(shares, kept), 2), 0),
    gatedPatches: tf.mean(effectiveNumber(weights), 0),
    size: tf.tensor1d([answers.shape[1]]),
  }
}

/** (B,K,N) 1 for kept patches, else 0. */
function maskOf(indices: tf.Tensor3D, patches: number): tf.Tensor3D {
  const [batch, experts] = indices.shape
  const firsts = tf.mul(tf.range(0, batch * experts, 1, 'int32'), tf.scalar(patches, 'int32'))
  const places = tf.reshape(tf.add(indices, tf.reshape(firsts, [batch, experts, 1])), [-1, 1])
  const flat = tf.scatterND(places, tf.ones([indices.size]), [batch * experts * patches])
  return tf.reshape(flat, [batch, experts, patches])
}

/** (K, numbers) what each expert adds to the output of its layer. */
function answersOf(layer: ExpertsLayer, x: tf.Tensor4D, output: tf.Tensor): tf.Tensor2D {
  if (layer instanceof TwoLayerExperts)
    return tf.reshape(tf.transpose(layer.contributions(x), [1, 0, 2]), [layer.numExperts, -1])
  const { size, slots, slotOf } = layer.placement
  const bySlot = tf.transpose(tf.reshape(output, [-1, slots, size]), [1, 0, 2])
  return tf.reshape(tf.gather(bySlot, tf.tensor1d([...slotOf], 'int32')), [layer.numExperts, -1])
}

/** (K + 1) the variance of each expert's kept patches, and of all patches: over patches and images, summed over their numbers. */
function views(patches: tf.Tensor3D, kept: tf.Tensor3D, numExperts: number): tf.Tensor {
  // About the mean of all patches, so that no digits are lost where it is large.
  const vectors = tf.reshape(tf.sub(patches, tf.mean(patches, [0, 1], true)), [-1, patches.shape[2]])
  const masks = tf.reshape(tf.transpose(kept, [1, 0, 2]), [numExperts, -1])
  const all: tf.Tensor2D = tf.concat([masks, tf.ones([1, masks.shape[1] ?? 0])], 0) as tf.Tensor2D
  const counts = tf.sum(all, 1, true)
  const means = tf.div(tf.matMul(all, vectors as tf.Tensor2D), counts)
  const squares = tf.div(tf.matMul(all, tf.sum(tf.square(vectors), 1, true) as tf.Tensor2D), counts)
  return tf.relu(tf.sub(squares, tf.sum(tf.square(means), 1, true)))
}

/** exp(- sum p ln p) along the last axis. */
function effectiveNumber(shares: tf.Tensor): tf.Tensor {
  return tf.exp(tf.neg(tf.sum(tf.mul(shares, tf.log(tf.add(shares, 1e-30))), -1)))
}

function expertsOf(K: number, row: Float32Array): Pick<MixtureMeasures, 'experts' | 'pairs'> {
  let offset = 0
  const next = (count: number) => {
    offset += count
    return [...row.subarray(offset - count, offset)]
  }
  const [products, common] = [next(K * K), next(K * K)]
  const [view, scored, keptShare, gated, size] = [next(K + 1), next(K), next(K), next(K), next(1)]
  const numbers = Array.from({ length: K }, (_, expert) => expert)
  const square = (expert: number) => products[expert * K + expert]!
  return {
    experts: numbers.map(expert => ({
      answer: Math.sqrt(square(expert) / size[0]!),
      view: view[K] === 0 ? 1 : view[expert]! / view[K]!,
      scoredPatches: scored[expert]!,
      keptShare: keptShare[expert]!,
      gatedPatches: gated[expert]!,
    })),
    pairs: numbers.flatMap(s =>
      numbers.slice(s + 1).map(t => {
        const apart = Math.max(0, square(s) + square(t) - 2 * products[s * K + t]!)
        const larger = Math.max(square(s), square(t))
        return {
          experts: [s, t] as const,
          samePatches: common[s * K + t]!,
          difference: larger === 0 ? 0 : Math.sqrt(apart / larger),
        }
      }),
    ),
  }
}
