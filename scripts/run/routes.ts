import * as tf from '@tensorflow/tfjs'
import type { KeptPatches } from '../../src/report/routing-figure.js'
import type { ImageShape, Size2D } from '../../src/shapes.js'

/** Which patches the experts of a model kept of some images. */
export interface Routes {
  /** The grid of patches that experts choose from, [rows, columns]. */
  readonly grid: Size2D
  /** Patches that each expert keeps. */
  readonly patchesPerExpert: number
  /** For each image, what each expert kept. */
  readonly images: readonly (readonly KeptPatches[])[]
}

/** A layer that keeps patches: PatchMoE, PatchGate or TwoLayerExperts. */
interface RoutingLayer extends tf.layers.Layer {
  readonly patchSize: Size2D
  readonly patchesPerExpert: number
  route(x: tf.Tensor4D): { readonly indices: tf.Tensor3D; readonly gates: tf.Tensor3D }
}

/**
 * Asks a model where its experts look.
 *
 * The experts of every routing layer that chooses from the same grid count, in the order of the model.
 *
 * @param images pixels 0..255, (count, height, width, channels)
 * @returns undefined for a model that keeps every patch
 */
export async function routesOf(
  model: tf.LayersModel,
  images: Uint8Array,
  [height, width, channels]: ImageShape,
): Promise<Routes | undefined> {
  const layers = model.layers.filter(isRouting).filter(choosesPatches)
  const [first] = layers
  if (!first) return undefined
  const [mapHeight, mapWidth] = mapSize(first)
  const count = images.length / (height * width * channels)
  const kept: KeptPatches[][] = Array.from({ length: count }, () => [])
  for (const layer of layers) {
    const below = tf.model({ inputs: model.inputs, outputs: layer.input as tf.SymbolicTensor })
    const [indices, gates] = tf.tidy(() => {
      const pixels = tf.tensor4d(images, [count, height, width, channels], 'int32').toFloat().div(255)
      const routing = layer.route(below.apply(pixels, { training: false }) as tf.Tensor4D)
      return [routing.indices, routing.gates]
    }) as [tf.Tensor3D, tf.Tensor3D]
    const [patches, strengths] = await Promise.all([indices.array(), gates.array()])
    tf.dispose([indices, gates])
    patches.forEach((experts, image) => {
      experts.forEach((numbers, expert) => {
        kept[image]!.push({ patches: numbers, gates: strengths[image]![expert]! })
      })
    })
  }
  return {
    grid: [mapHeight / first.patchSize[0], mapWidth / first.patchSize[1]],
    patchesPerExpert: first.patchesPerExpert,
    images: kept,
  }
}

function isRouting(layer: tf.layers.Layer): layer is RoutingLayer {
  return 'route' in layer && 'patchSize' in layer && 'patchesPerExpert' in layer
}

function choosesPatches(layer: RoutingLayer): boolean {
  const [height, width] = mapSize(layer)
  return layer.patchesPerExpert < (height * width) / (layer.patchSize[0] * layer.patchSize[1])
}

function mapSize(layer: RoutingLayer): Size2D {
  const [, height, width] = (layer.input as tf.SymbolicTensor).shape
  return [height ?? 0, width ?? 0]
}
