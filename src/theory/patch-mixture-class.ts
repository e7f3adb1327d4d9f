import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { PlacedLayer } from '../layers/layer-paths.js'
import type { PatchGate } from '../layers/moe/patch-gate.js'
import type { PatchMoE } from '../layers/moe/patch-moe.js'
import type { TwoLayerExperts } from '../layers/moe/two-layer-experts.js'
import { columnsOf, type ExpertNorms, largestNorms, normsOfColumns } from './expert-norms.js'
import { type MixtureClass, marginNorm, patchCount, placeOf, statisticsTensor } from './mixture-class.js'
import { norm21, spectralNorm } from './spectral-norm.js'

/*
 * Mixtures whose experts choose patches. The theorem is about items that choose experts; its terms are shown with all K of
 * K experts active.
 */

/** Letters as in `shapes.ts`. */
interface PatchRouting {
  readonly patches: number
  readonly patchesPerExpert: number
  readonly experts: number
}

function choosingPatches(placed: PlacedLayer, model: tfl.LayersModel, routing: PatchRouting) {
  return {
    ...placeOf(placed, model),
    chooses: 'patches',
    experts: routing.experts,
    active: routing.experts,
    patches: routing,
  } as const
}

/**
 * The two-layer model: an expert is given the L patches that its router keeps, and their gates. Its first layer reads each
 * of them, its second, whose head is fixed, sums over neurons and patches.
 */
export function twoLayerClass(placed: PlacedLayer, model: tfl.LayersModel): MixtureClass {
  const layer = placed.layer as TwoLayerExperts
  const { numExperts: experts, patchesPerExpert, outputs, grid, normalizer } = layer
  const [router, kernel, head] = layer.weights.map(weight => weight.read()) as [
    tf.Tensor,
    tf.Tensor,
    tf.Tensor2D,
  ]
  const inputs = router.size / experts
  const neurons = layer.hiddenUnits / experts
  const norms = normsOfColumns({ values: kernel.dataSync(), rows: inputs, experts })
  const headNorm = largestHeadNorm(head, experts)
  const divisor = normalizer === 'selected' ? patchesPerExpert : grid.count
  return {
    ...choosingPatches(placed, model, { patches: grid.count, patchesPerExpert, experts }),
    layers: [layer],
    ...(experts > 1 && { router: { inputs, experts } }),
    norms,
    network: ({ squares, gates }) => {
      const largest = largestNorms(norms)
      return {
        dataNorm: Math.sqrt(squares),
        gateFactor: 1,
        layers: [
          {
            spectralNorm: largest.spectralNorm,
            norm21: patchesPerExpert * largest.norm21,
            entries: patchesPerExpert ** 2 * inputs * neurons,
          },
          {
            spectralNorm: (headNorm * gates * marginNorm(outputs)) / divisor,
            norm21: 0,
            entries: patchesPerExpert * neurons * outputs,
          },
        ],
      }
    },
    /** Gates: the l2 norm of those of one expert, at most. */
    statistics: x =>
      tf.tidy(() => statisticsTensor(x, 1, tf.max(tf.sqrt(tf.sum(tf.square(layer.route(x).gates), 2))))),
  }
}

function largestHeadNorm(head: tf.Tensor2D, experts: number): number {
  // Rows of experts one after the other are columns of their transposed matrix.
  const columns = { values: tf.tidy(() => tf.transpose(head).dataSync()), rows: head.shape[1], experts }
  return Math.max(...Array.from({ length: experts }, (_, expert) => spectralNorm(columnsOf(columns, expert))))
}

/** Experts that convolve their patches. */
export function patchMoEClass(placed: PlacedLayer, model: tfl.LayersModel): MixtureClass {
  const layer = placed.layer as PatchMoE
  const { numExperts: experts, patchesPerExpert, grid } = layer
  const router = layer.weights[0]?.read() as tf.Tensor
  return {
    ...choosingPatches(placed, model, { patches: grid.count, patchesPerExpert, experts }),
    layers: [layer],
    ...(experts > 1 && { router: { inputs: router.size / experts, experts } }),
    norms: convolutionNorms(layer),
    network: MAPS,
    statistics: x => statisticsTensor(x, 1, 1),
  }
}

const MAPS = 'experts yield parts of a map, and what later layers make of them is no part of the theorem'

function convolutionNorms(layer: PatchMoE): ExpertNorms[] {
  const kernel = layer.weights.find(({ originalName }) => originalName.endsWith('/kernel'))?.read()
  if (layer.experts.kind !== 'convolution' || !kernel) return []
  const { numExperts, patchSize, experts } = layer
  const filters = (kernel.shape[3] as number) / numExperts
  const [height, width] = [patchSize[0] + 2 * experts.reach[0], patchSize[1] + 2 * experts.reach[1]]
  const convolution = {
    patchSize: [height, width],
    padding: layer.border === 'halo' ? ('valid' as const) : ('same' as const),
  }
  return Array.from({ length: numExperts }, (_, expert) => {
    const own = tf.slice(kernel, [0, 0, 0, expert * filters], [-1, -1, -1, filters]) as tf.Tensor4D
    try {
      return { spectralNorm: spectralNorm(own, convolution), norm21: norm21(own, convolution) }
    } finally {
      own.dispose()
    }
  })
}

/** The masking form: a gate for every expert, the experts being layers of their own. */
export function patchGatesClass(gates: readonly PlacedLayer[], model: tfl.LayersModel): MixtureClass {
  const [first] = gates as [PlacedLayer]
  const layer = first.layer as PatchGate
  const router = layer.weights[0]?.read() as tf.Tensor
  const experts = gates.length
  return {
    ...choosingPatches(first, model, {
      patches: patchCount(layer),
      patchesPerExpert: layer.patchesPerExpert,
      experts,
    }),
    path: gates.map(({ path }) => path).join(', '),
    layers: gates.map(gate => gate.layer),
    ...(experts > 1 && { router: { inputs: router.size, experts } }),
    norms: [],
    network: MAPS,
    statistics: x => statisticsTensor(x, 1, 1),
  }
}
