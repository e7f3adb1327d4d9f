import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { withIntercepted } from '../layers/intercept.js'
import { placedLayers } from '../layers/layer-paths.js'
import {
  expertOrigins,
  isSampleRouting,
  type RoutingLayer,
  type RoutingLayers,
  routingLayers,
  type SampleRoutingLayer,
  sampleRoutingLayers,
} from '../layers/moe/routing-layers.js'
import { perChoice } from '../layers/moe/sample-routing.js'
import { TwoLayerExperts } from '../layers/moe/two-layer-experts.js'
import type { ChosenExperts } from '../report/chosen-experts.js'
import type { KeptPatches } from '../report/routing-figure.js'
import { type ImageShape, isPositiveInteger, type Size2D } from '../shapes.js'
import { lossOf } from '../train/loss.js'
import { checkImages, type ImageValues, upload } from '../train/upload.js'
import { patchField, receptiveField } from './receptive-field.js'

/** A model's prediction for one image, and the patches that it is made from. */
export interface Explanation {
  /** Probability of every class. */
  readonly probabilities: Float32Array
  /** The class of the largest probability. */
  readonly predicted: number
  /** The patches that each expert kept; empty for a model that keeps every patch. */
  readonly experts: readonly KeptPatches[]
  /** For each layer that sends whole samples to experts, which experts computed the image; absent without such layers. */
  readonly choices?: readonly ChosenExperts[]
  /**
   * For each patch of the grid, how much of the predicted class's probability is lost when the patch is removed;
   * negative where it gains. Exactly 0 for patches that no expert kept. Absent unless requested.
   */
  readonly sensitivity?: Float32Array
}

/** A model's predictions for several images, and what they are made from. */
export interface Explanations {
  readonly images: readonly Explanation[]
  /** The grid of patches that experts choose from, [rows, columns]; absent for a model that keeps every patch. */
  readonly grid?: Size2D
  /** Pixels of the image that a patch is computed from, height and width, padding included; absent where unknown. */
  readonly field?: Size2D
}

/** How a model is explained. */
export interface ExplainOptions {
  /** Whether to measure `sensitivity`, which takes one more prediction for each kept patch; true unless given. */
  readonly sensitivity?: boolean
  /** Images computed at a time; 32 unless given. */
  readonly batchSize?: number
  /**
   * Predicts and routes in the place of the model, as `frozenClassifier(model, { routes: true })` does it faster. The model
   * itself is needed for `sensitivity`.
   */
  readonly frozen?: FrozenRoutes | undefined
}

/** A frozen copy of a model that tells what its mixtures chose. */
export interface FrozenRoutes {
  /**
   * @param x (B,H,W,C) float32
   * @returns new tensors: (B, outputs) logits, and for each mixture, by its name after those of the models it is nested in,
   *   indices and gates (B,K,L), or (B,k) and (B,M) scores where samples choose experts
   */
  logitsWithRoutes(x: tf.Tensor): {
    readonly logits: tf.Tensor2D
    readonly routes: readonly {
      readonly layer: string
      readonly indices: tf.Tensor
      readonly gates: tf.Tensor
      readonly scores?: tf.Tensor
    }[]
  }
}

const WHERE = 'explain'

const optionNames = {
  sensitivity: true,
  batchSize: true,
  frozen: true,
} as const satisfies OptionNames<ExplainOptions>

/**
 * Where the experts of a model look, and how much each kept patch counts.
 *
 * A patch is removed in the layer that routes. There the output of a PatchMoE or PatchGate is set to 0, and the routing
 * stays as it is; for a TwoLayerExperts the input is set to 0, which may change the routing. The result covers the experts
 * of all routing layers with the same grid, in the order of the model, nested models included. Of layers that send whole
 * samples to experts, such as SampleMoE, it tells the choice of each image.
 *
 * @param images pixels 0..255, or values as they are in a Float32Array; (count, height, width, channels), row-major
 * @param shape height, width and channels of every image
 * @throws RangeError when the pixels are not whole images of this shape or not finite, or do not fit the model
 */
export async function explain(
  model: tfl.LayersModel,
  images: ImageValues,
  shape: ImageShape,
  options: ExplainOptions = {},
): Promise<Explanations> {
  checkOptionNames(WHERE, options, optionNames)
  const { sensitivity = true, batchSize = 32, frozen } = options
  checkImages(model, images, shape, `${WHERE}: images`)
  if (!isPositiveInteger(batchSize)) {
    throw new RangeError(`${WHERE}: batchSize must be a positive integer, got ${batchSize}`)
  }
  const routing = routingLayers(model)
  const pixels = shape[0] * shape[1] * shape[2]
  const explained: Explanation[] = []
  for (let first = 0; first < images.length; first += batchSize * pixels) {
    const batch = images.subarray(first, first + batchSize * pixels)
    explained.push(...(await explainBatch(model, batch, shape, routing, frozen)))
  }
  if (routing && sensitivity) {
    for (const [i, explanation] of explained.entries()) {
      const image = images.subarray(i * pixels, (i + 1) * pixels)
      const values = await patchSensitivity(model, image, shape, routing, explanation, batchSize)
      explained[i] = { ...explanation, sensitivity: values }
    }
  }
  const field = routing && fieldOf(routing)
  return {
    images: explained,
    ...(routing && { grid: routing.grid }),
    ...(field && { field }),
  }
}

/** What one pass over a batch yields; tensors that the caller disposes. */
interface Pass {
  /** (B, classes). */
  readonly probabilities: tf.Tensor2D
  /** Indices and gates (B,K,L) of each routing layer in turn. */
  readonly routes: readonly tf.Tensor[]
  /** Indices and gates (B,k) and scores (B,M) of each layer whose samples choose experts. */
  readonly chosen: readonly { readonly layer: SampleRoutingLayer; readonly tensors: readonly tf.Tensor[] }[]
}

/** The model itself, its layers asked for their routes. */
function modelPass(model: tfl.LayersModel, x: () => tf.Tensor, routing: RoutingLayers | undefined): Pass {
  const classifier = lossOf(model)
  const routes: tf.Tensor[] = []
  const chosen: { readonly layer: SampleRoutingLayer; readonly tensors: readonly tf.Tensor[] }[] = []
  const layers: (RoutingLayer | SampleRoutingLayer)[] = [
    ...(routing?.layers ?? []),
    ...sampleRoutingLayers(model),
  ]
  const probabilities = tf.tidy(() => {
    const logits = withIntercepted(
      layers,
      (x, compute, layer) => {
        if (isSampleRouting(layer)) {
          const { indices, gates, scores } = layer.route(x)
          const tensors = [perChoice(indices), perChoice(gates), scores].map(tensor => tf.keep(tensor))
          chosen.push({ layer, tensors })
        } else {
          const { indices, gates } = layer.route(x)
          routes.push(tf.keep(indices), tf.keep(gates))
        }
        return compute(x)
      },
      () => classifier.logits(x(), false),
    )
    return classifier.probabilities(logits)
  })
  return { probabilities, routes, chosen }
}

/** A frozen copy of the model, which tells all routes at once. */
function frozenPass(
  model: tfl.LayersModel,
  frozen: FrozenRoutes,
  x: () => tf.Tensor,
  routing: RoutingLayers | undefined,
): Pass {
  const images = tf.tidy(x)
  const { logits, routes: told } = frozen.logitsWithRoutes(images)
  const probabilities = lossOf(model).probabilities(logits)
  const routesOf = (layer: tfl.layers.Layer) => {
    const paths = placedLayers(model).flatMap(placed => (placed.layer === layer ? [placed.path] : []))
    const ofLayer = told.filter(route => paths.includes(route.layer))
    if (ofLayer.length > 0) return ofLayer
    throw new RangeError(
      `${WHERE}: frozen must be a copy of the model, got one without routes of layer ${layer.name}`,
    )
  }
  const routes = (routing?.layers ?? []).flatMap(layer =>
    routesOf(layer).flatMap(({ indices, gates }) => [indices, gates]),
  )
  const chosen = sampleRoutingLayers(model).flatMap(layer =>
    routesOf(layer).map(({ indices, gates, scores }) => ({
      layer,
      tensors: [indices, gates, scores as tf.Tensor],
    })),
  )
  const used = new Set([...routes, ...chosen.flatMap(({ tensors }) => tensors)])
  const unused = told.flatMap(({ indices, gates, scores }) => [indices, gates, ...(scores ? [scores] : [])])
  tf.dispose([images, logits, ...unused.filter(tensor => !used.has(tensor))])
  return { probabilities, routes, chosen }
}

async function explainBatch(
  model: tfl.LayersModel,
  images: ImageValues,
  shape: ImageShape,
  routing: RoutingLayers | undefined,
  frozen: FrozenRoutes | undefined,
): Promise<Explanation[]> {
  const x = () => upload(images, shape)
  const { probabilities, routes, chosen } = frozen
    ? frozenPass(model, frozen, x, routing)
    : modelPass(model, x, routing)
  const arrays = (tensors: readonly tf.Tensor[]) => Promise.all(tensors.map(tensor => tensor.array()))
  const tables = await arrays([probabilities, ...routes])
  const choices = await Promise.all(
    chosen.map(async ({ layer, tensors }) => ({
      layer,
      tables: (await arrays(tensors)) as [number[][], number[][], number[][]],
    })),
  )
  tf.dispose([probabilities, ...routes, ...chosen.flatMap(({ tensors }) => tensors)])
  const [rows, ...routings] = tables as [number[][], ...number[][][][]]
  return rows.map((row, image) => ({
    probabilities: Float32Array.from(row),
    predicted: row.indexOf(Math.max(...row)),
    experts: keptPatches(routings, image, routing),
    ...(choices.length > 0 && {
      choices: choices.map(({ layer, tables: [experts, gates, scores] }) => ({
        layer: layer.name,
        names: layer.expertNames,
        experts: experts[image] ?? [],
        gates: gates[image] ?? [],
        scores: scores[image] ?? [],
      })),
    }),
  }))
}

/** @param routings indices and gates, (B,K,L) each, of one layer after the other */
function keptPatches(
  routings: readonly number[][][][],
  image: number,
  routing: RoutingLayers | undefined,
): KeptPatches[] {
  const origins = expertOrigins(routing?.layers ?? [])
  const experts: KeptPatches[] = []
  for (let layer = 0; layer < routings.length; layer += 2) {
    const [patches = [], gates = []] = [routings[layer]?.[image], routings[layer + 1]?.[image]]
    patches.forEach((indices, expert) => {
      experts.push({ ...origins[experts.length], patches: indices, gates: gates[expert] ?? [] })
    })
  }
  return experts
}

/** One prediction for each patch that an expert kept, with this patch removed. */
async function patchSensitivity(
  model: tfl.LayersModel,
  image: ImageValues,
  shape: ImageShape,
  { layers, grid }: RoutingLayers,
  { probabilities, predicted, experts }: Explanation,
  batchSize: number,
): Promise<Float32Array> {
  const classifier = lossOf(model)
  const lost = new Float32Array(grid[0] * grid[1])
  const patches = [...new Set(experts.flatMap(expert => expert.patches))]
  for (let first = 0; first < patches.length; first += batchSize) {
    const removed = patches.slice(first, first + batchSize)
    const without = tf.tidy(() => {
      const copies = tf.tile(upload(image, shape), [removed.length, 1, 1, 1])
      const logits = withIntercepted(
        layers,
        (x, compute, layer) => {
          const mask = keepMask(removed, grid, layer.patchSize)
          return layer instanceof TwoLayerExperts ? compute(tf.mul(x, mask)) : tf.mul(compute(x), mask)
        },
        () => classifier.logits(copies, false),
      )
      return classifier.probabilities(logits)
    })
    const rows = (await without.array()) as number[][]
    without.dispose()
    removed.forEach((patch, i) => {
      lost[patch] = (probabilities[predicted] ?? 0) - (rows[i]?.[predicted] ?? 0)
    })
  }
  return lost
}

/** (count, H, W, 1): for each removed patch, a map that is 0 in the patch and 1 elsewhere. */
function keepMask(removed: readonly number[], [rows, columns]: Size2D, [height, width]: Size2D): tf.Tensor4D {
  return tf.tidy(() => {
    const cells = tf.sub(1, tf.oneHot(tf.tensor1d([...removed], 'int32'), rows * columns))
    const spread = tf.tile(tf.reshape(cells, [removed.length, rows, 1, columns, 1]), [1, 1, height, 1, width])
    return tf.reshape(spread, [removed.length, rows * height, columns * width, 1])
  })
}

function fieldOf({ layers: [layer] }: RoutingLayers): Size2D | undefined {
  const input = layer?.inboundNodes[0]?.inputTensors[0]
  const field = input && receptiveField(input)
  return field && patchField(field, layer.patchSize)
}
