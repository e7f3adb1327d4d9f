import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { PlacedLayer } from '../layers/layer-paths.js'
import { patchVectors } from '../layers/moe/patches.js'
import type { SampleMoE } from '../layers/moe/sample-moe.js'
import { type ExpertNorms, largestNorms, normsOfColumns } from './expert-norms.js'
import { type MixtureClass, marginNorm, placeOf, statisticsTensor } from './mixture-class.js'

/** A layer whose items choose experts. */
interface ItemRouting extends tfl.layers.Layer {
  readonly numExperts: number
  readonly expertsPerSample: number
  route(x: tf.Tensor4D): { readonly gates: tf.Tensor }
}

/** Activations whose slopes are in [-1, 1] and that map 0 to 0. */
const LIPSCHITZ = ['linear', 'relu']

/**
 * A sample-level mixture whose experts sum filters over patches (Chen et al., NeurIPS 2022): the first layer of an expert
 * reads every patch with the same filters, its second sums patches and filters and is fixed.
 *
 * The slope of z^3 is unbounded: the largest one met on the inputs is taken.
 */
export function sampleMoEClass(placed: PlacedLayer, model: tfl.LayersModel): MixtureClass {
  const layer = placed.layer as SampleMoE
  const { numExperts: experts, outputs, filtersPerOutput, activation } = layer
  const [router, kernel, bias] = layer.weights.map(weight => weight.read()) as [
    tf.Tensor,
    tf.Tensor,
    tf.Tensor?,
  ]
  const inputs = router.size / experts
  const filters = outputs * filtersPerOutput
  const patches = layer.grid.count
  const rows = inputs + (bias ? 1 : 0)
  const norms = normsOfExperts(layer, inputs, kernel, bias)
  const slopeOfData = !LIPSCHITZ.includes(activation)
  return {
    ...choosingItems(placed, model),
    norms,
    ...(slopeOfData && { slopeOfData }),
    network: ({ squares, items, slope, gates }) => {
      const largest = largestNorms(norms)
      return {
        dataNorm: Math.sqrt(squares + (bias ? items * patches : 0)),
        // Shares add up to 1 but for rounding.
        gateFactor: gates <= 1 + 1e-5 ? 1 : gates,
        layers: [
          {
            spectralNorm: largest.spectralNorm,
            norm21: patches * largest.norm21,
            entries: patches ** 2 * rows * filters,
          },
          {
            spectralNorm: slope * Math.sqrt(patches * filtersPerOutput) * marginNorm(outputs),
            norm21: 0,
            entries: patches * filters * outputs,
          },
        ],
      }
    },
    statistics: x =>
      tf.tidy(() =>
        statisticsTensor(x, slopeOfData ? largestSlope(x, layer, kernel, bias) : 1, gateSums(x, layer)),
      ),
  }
}

/** Another layer whose items choose experts: the router's part of the bound is known, the experts' is not. */
export function itemRoutingClass(placed: PlacedLayer, model: tfl.LayersModel): MixtureClass {
  return {
    ...choosingItems(placed, model),
    norms: [],
    network: 'experts are networks whose complexity has no closed form here',
    statistics: x => tf.tidy(() => statisticsTensor(x, 1, gateSums(x, placed.layer as ItemRouting))),
  }
}

/** Whether the items of a layer's input choose experts. */
export function choosesExperts(layer: tfl.layers.Layer): boolean {
  return 'route' in layer && 'numExperts' in layer && 'expertsPerSample' in layer
}

function choosingItems(placed: PlacedLayer, model: tfl.LayersModel) {
  const { layer } = placed
  const { numExperts: experts, expertsPerSample } = layer as ItemRouting
  const weightsNamed = (name: string) =>
    layer.weights.filter(({ originalName }) => originalName.endsWith(`/${name}`)).map(({ shape }) => shape)
  const [router = []] = weightsNamed('router')
  const bias = weightsNamed('router_bias').length > 0
  const inputs = router.slice(0, -1).reduce<number>((product, side) => product * (side ?? 1), 1)
  return {
    ...placeOf(placed, model),
    layers: [layer],
    chooses: 'items',
    experts,
    active: expertsPerSample,
    ...(experts > 1 && { router: { inputs, experts, bias } }),
  } as const
}

/** The largest sum of the sizes of an input's gates; NaN or infinite scores give NaN. */
function gateSums(x: tf.Tensor4D, layer: ItemRouting): tf.Tensor {
  const { gates } = layer.route(x)
  return tf.max(tf.sum(tf.abs(tf.reshape(gates, [x.shape[0], -1])), 1))
}

/** Of pruned experts, which have no weights and answer 0, the norms are 0. */
function normsOfExperts(
  { numExperts, prunedExperts }: SampleMoE,
  rows: number,
  kernel: tf.Tensor,
  bias: tf.Tensor | undefined,
): ExpertNorms[] {
  const experts = numExperts - prunedExperts.length
  const own = normsOfColumns({ values: kernel.dataSync(), rows, experts }, bias?.dataSync())
  return Array.from({ length: numExperts }, (_, expert) =>
    prunedExperts.includes(expert) ? { spectralNorm: 0, norm21: 0 } : (own.shift() as ExpertNorms),
  )
}

/** 3 z^2 at the largest z of any filter of any expert. */
function largestSlope(
  x: tf.Tensor4D,
  { grid }: SampleMoE,
  kernel: tf.Tensor,
  bias: tf.Tensor | undefined,
): tf.Tensor {
  const patches = patchVectors(x, grid)
  const width = patches.shape[2]
  const linear = tf.matMul(tf.reshape(patches, [-1, width]), tf.reshape(kernel, [width, -1]))
  return tf.mul(tf.max(tf.square(bias ? tf.add(linear, bias) : linear)), 3)
}
