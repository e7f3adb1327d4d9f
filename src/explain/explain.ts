import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { withIntercepted } from '../layers/intercept.js'
import { type RoutingLayers, routingLayers } from '../layers/moe/routing-layers.js'
import { TwoLayerExperts } from '../layers/moe/two-layer-experts.js'
import type { KeptPatches } from '../report/routing-figure.js'
import { type ImageShape, isPositiveInteger, type Size2D } from '../shapes.js'
import { lossOf } from '../train/loss.js'
import { checkImageShape, upload } from '../train/upload.js'
import { patchField, receptiveField } from './receptive-field.js'

/** What a model says of one image, and what it says it from. */
export interface Explanation {
  /** Probability of every class. */
  readonly probabilities: Float32Array
  /** The class of the largest probability. */
  readonly predicted: number
  /** What each expert kept; empty for a model that keeps every patch. */
  readonly experts: readonly KeptPatches[]
  /**
   * For each patch of the grid, how much of the predicted class's probability is lost when the patch is removed;
   * negative where it gains. Exactly 0 for patches that no expert kept. Only where it was asked for.
   */
  readonly sensitivity?: Float32Array
}

/** What a model says of some images. */
export interface Explanations {
  readonly images: readonly Explanation[]
  /** The grid of patches that experts choose from, [rows, columns]; none for a model that keeps every patch. */
  readonly grid?: Size2D
  /** Pixels of the image that a patch is computed from, height and width, padding included; where it is known. */
  readonly field?: Size2D
}

/** How a model is explained. */
export interface ExplainOptions {
  /** Whether to remove every kept patch in turn, one more prediction for each; true unless given. */
  readonly sensitivity?: boolean
  /** Images computed at a time; 32 unless given. */
  readonly batchSize?: number
}

const WHERE = 'explain'

const optionNames = {
  sensitivity: true,
  batchSize: true,
} as const satisfies OptionNames<ExplainOptions>

/**
 * Where the experts of a model look, and how much each kept patch counts.
 *
 * A patch is removed in the layer that routes: a PatchMoE's or PatchGate's output is set to 0 there, with the routing as
 * it was; a TwoLayerExperts' input is, which may change the routing. The experts of all routing layers of the same grid
 * count, in the order of the model, nested models included.
 *
 * @param images pixels 0..255, (count, height, width, channels), row-major
 * @param shape height, width and channels of every image
 * @throws RangeError when the pixels are not whole images of this shape or do not fit the model
 */
export async function explain(
  model: tfl.LayersModel,
  images: Uint8Array,
  shape: ImageShape,
  options: ExplainOptions = {},
): Promise<Explanations> {
  checkOptionNames(WHERE, options, optionNames)
  const { sensitivity = true, batchSize = 32 } = options
  checkImages(model, images, shape, batchSize)
  const routing = routingLayers(model)
  const pixels = shape[0] * shape[1] * shape[2]
  const explained: Explanation[] = []
  for (let first = 0; first < images.length; first += batchSize * pixels) {
    const part = images.subarray(first, first + batchSize * pixels)
    explained.push(...(await explainBatch(model, part, shape, routing)))
  }
  if (routing && sensitivity) {
    for (const [i, explanation] of explained.entries()) {
      const image = images.subarray(i * pixels, (i + 1) * pixels)
      const lost = await patchSensitivity(model, image, shape, routing, explanation, batchSize)
      explained[i] = { ...explanation, sensitivity: lost }
    }
  }
  const field = routing && fieldOf(routing)
  return {
    images: explained,
    ...(routing && { grid: routing.grid }),
    ...(field && { field }),
  }
}

async function explainBatch(
  model: tfl.LayersModel,
  images: Uint8Array,
  shape: ImageShape,
  routing: RoutingLayers | undefined,
): Promise<Explanation[]> {
  const classifier = lossOf(model)
  const routes: tf.Tensor[] = []
  const probabilities = tf.tidy(() => {
    const logits = withIntercepted(
      routing?.layers ?? [],
      (x, compute, layer) => {
        const { indices, gates } = layer.route(x)
        routes.push(tf.keep(indices), tf.keep(gates))
        return compute(x)
      },
      () => classifier.logits(upload(images, shape), false),
    )
    return classifier.probabilities(logits)
  })
  const tables = await Promise.all([probabilities, ...routes].map(tensor => tensor.array()))
  tf.dispose([probabilities, ...routes])
  const [rows, ...kept] = tables as [number[][], ...number[][][][]]
  return rows.map((row, image) => ({
    probabilities: Float32Array.from(row),
    predicted: row.indexOf(Math.max(...row)),
    experts: keptOf(kept, image),
  }))
}

/** @param kept indices and gates, (B,K,L) each, of one layer after the other */
function keptOf(kept: readonly number[][][][], image: number): KeptPatches[] {
  const experts: KeptPatches[] = []
  for (let table = 0; table < kept.length; table += 2) {
    const [patches = [], gates = []] = [kept[table]?.[image], kept[table + 1]?.[image]]
    patches.forEach((numbers, expert) => {
      experts.push({ patches: numbers, gates: gates[expert] ?? [] })
    })
  }
  return experts
}

/** One prediction for each patch that an expert kept, with this patch removed. */
async function patchSensitivity(
  model: tfl.LayersModel,
  image: Uint8Array,
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
          const keeps = keepMask(removed, grid, layer.patchSize)
          return layer instanceof TwoLayerExperts ? compute(tf.mul(x, keeps)) : tf.mul(compute(x), keeps)
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

/** (count, H, W, 1): for each removed patch a map that is 0 there and 1 elsewhere. */
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

function checkImages(model: tfl.LayersModel, images: Uint8Array, shape: ImageShape, batchSize: number): void {
  checkImageShape(model, shape, `${WHERE}: images`)
  if (!isPositiveInteger(batchSize)) {
    throw new RangeError(`${WHERE}: batchSize must be a positive integer, got ${batchSize}`)
  }
  const pixels = shape[0] * shape[1] * shape[2]
  if (images.length % pixels !== 0) {
    throw new RangeError(
      `${WHERE}: images must hold a multiple of ${pixels} pixels ([${shape.join(', ')}]), got ${images.length}`,
    )
  }
}
