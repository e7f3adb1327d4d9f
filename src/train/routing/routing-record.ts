import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { streamOf } from '../../data/image-stream.js'
import type { RegionSource } from '../../data/regions/region-source.js'
import type { RegionStream } from '../../data/regions/region-stream.js'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { withIntercepted } from '../../layers/intercept.js'
import type { Routing } from '../../layers/moe/routing.js'
import {
  type ExpertOrigin,
  expertOrigins,
  type RoutingLayer,
  routingLayers,
} from '../../layers/moe/routing-layers.js'
import type { ImageShape, Size2D } from '../../shapes.js'
import { isRegionModel, type RegionModel, type TrainingData, type WholeImages } from '../feed.js'
import { hostTurns } from '../host-turn.js'
import { type ImageValues, upload } from '../upload.js'

/** Which patches every expert kept of every image, best patch first. */
export interface RoutingRecord {
  /** The grid of patches that experts choose from, [rows, columns]. */
  readonly grid: Size2D
  /** K, the experts of all routing layers of that grid. */
  readonly numExperts: number
  /** L, patches that each expert keeps. */
  readonly patchesPerExpert: number
  /** Images. */
  readonly count: number
  /** (count,K,L) numbers of the kept patches in [0, rows * columns), best first. */
  readonly indices: Int32Array
  /** (count,K,L) their gates. */
  readonly gates: Float32Array
  /** (K) which experts of the unpruned network they are; absent where none was pruned. */
  readonly experts?: readonly ExpertOrigin[]
}

/** How a routing is recorded. */
export interface RecordOptions {
  /** Images computed at a time; 32 unless given. */
  readonly batchSize?: number
  /** Ends the recording after the running batch, with the signal's reason as the error. */
  readonly signal?: AbortSignal
}

/** A model for images that are read in parts that says where its experts look, such as that of `routedModel`. */
export interface RegionRouter extends RegionModel {
  /** What chooses: K experts, each of which keeps L of the cells. */
  readonly layer: {
    readonly numExperts: number
    readonly patchesPerExpert: number
    readonly grid: { readonly cells: Size2D }
  }
  /**
   * Which patches are kept of images, with which gates.
   *
   * @returns (B,K,L) each
   */
  route(
    sources: readonly RegionSource[],
  ): Promise<{ readonly indices: Int32Array; readonly gates: Float32Array }>
}

const optionNames = {
  batchSize: true,
  signal: true,
} as const satisfies OptionNames<RecordOptions>

/**
 * Records where the experts of a model look, over a whole set in its stored order, with the layers in inference mode.
 *
 * The record covers the experts of all layers that choose as many patches as the first routing layer, from the same grid,
 * in the order of the model.
 *
 * @param model a network of whole images, or one that reads them in parts; a `PatchExperts` is recorded of the latter only, in which
 *   the patches are cut that its gates depend on
 * @param set whole images, or a stream of images that are read in parts
 * @returns undefined for a network that keeps every patch, or has no experts
 */
export async function recordRouting(
  model: tfl.LayersModel | RegionRouter,
  set: TrainingData,
  options: RecordOptions = {},
): Promise<RoutingRecord | undefined> {
  checkOptionNames('recordRouting', options, optionNames)
  return isRegionModel(model)
    ? recordRegions(model, set as RegionStream, options)
    : recordWhole(model, set as WholeImages, options)
}

/** As `recordRouting`, of images that are read in parts: patches are the cells of the grid. */
async function recordRegions(
  model: RegionRouter,
  stream: RegionStream,
  { batchSize = 32, signal }: RecordOptions,
): Promise<RoutingRecord> {
  const { numExperts, patchesPerExpert, grid } = model.layer
  const perImage = numExperts * patchesPerExpert
  const indices = new Int32Array(stream.count * perImage)
  const gates = new Float32Array(stream.count * perImage)
  let offset = 0
  for await (const { sources } of stream.batches({ batchSize })) {
    signal?.throwIfAborted()
    const { indices: cells, gates: weights } = await model.route(sources)
    indices.set(cells, offset)
    gates.set(weights, offset)
    offset += cells.length
    await Promise.all(sources.map(source => source.close?.()))
  }
  return { grid: grid.cells, numExperts, patchesPerExpert, count: stream.count, indices, gates }
}

async function recordWhole(
  model: tfl.LayersModel,
  set: WholeImages,
  options: RecordOptions,
): Promise<RoutingRecord | undefined> {
  const { batchSize = 32, signal } = options
  const routing = routingLayers(model)
  if (!routing) return undefined
  const { grid, patchesPerExpert } = routing
  const layers = routing.layers.filter(layer => layer.patchesPerExpert === patchesPerExpert)
  const parts: { indices: Int32Array; gates: Float32Array }[] = []
  let numExperts = 0
  const turn = hostTurns()
  for await (const batch of streamOf(set).batches({ batchSize })) {
    signal?.throwIfAborted()
    const routed = routeBatch(model, layers, batch.images, set.shape)
    numExperts = routed.indices.shape[1] ?? 0
    parts.push(await readRouting(routed))
    await turn()
  }
  const size = numExperts * patchesPerExpert
  const indices = new Int32Array(set.count * size)
  const gates = new Float32Array(set.count * size)
  let offset = 0
  for (const part of parts) {
    indices.set(part.indices, offset)
    gates.set(part.gates, offset)
    offset += part.indices.length
  }
  const experts = expertOrigins(layers)
  return {
    grid,
    numExperts,
    patchesPerExpert,
    count: set.count,
    indices,
    gates,
    ...(experts.length > 0 && { experts }),
  }
}

/** (B,K,L) of all layers together, K being the sum of theirs. */
function routeBatch(
  model: tfl.LayersModel,
  layers: readonly RoutingLayer[],
  images: ImageValues,
  shape: ImageShape,
): { indices: tf.Tensor3D; gates: tf.Tensor3D } {
  return tf.tidy(() => {
    const routings = new Map<RoutingLayer, Routing>()
    withIntercepted(
      layers,
      (x, compute, layer) => {
        const { indices, gates } = layer.route(x)
        routings.set(layer, { indices: tf.keep(indices), gates: tf.keep(gates) })
        return compute(x)
      },
      () => model.apply(upload(images, shape), { training: false }),
    )
    const ofLayers = layers.map(layer => routings.get(layer) as Routing)
    const joined = {
      indices: tf.concat(
        ofLayers.map(({ indices }) => indices),
        1,
      ),
      gates: tf.concat(
        ofLayers.map(({ gates }) => gates),
        1,
      ),
    }
    for (const { indices, gates } of ofLayers) tf.dispose([indices, gates])
    return joined
  })
}

async function readRouting({ indices, gates }: { indices: tf.Tensor3D; gates: tf.Tensor3D }) {
  try {
    const [indexData, gateData] = await Promise.all([indices.data<'int32'>(), gates.data<'float32'>()])
    return { indices: indexData, gates: gateData }
  } finally {
    tf.dispose([indices, gates])
  }
}
