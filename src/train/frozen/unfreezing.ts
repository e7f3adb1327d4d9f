import type * as tfl from '@tensorflow/tfjs-layers'
import { isNestedModel } from '../../layers/layer-paths.js'
import { frozenPart } from './frozen-part.js'
import { pathOf } from './named-layer.js'
import { cutPoints } from './split-model.js'

/**
 * What is frozen in the stages of gradual unfreezing (Howard and Ruder 2018): first everything up to a layer, then a block less from
 * stage to stage, from the head down, and nothing in the last.
 *
 * A block lies between two places where a single tensor passes, and has a kernel (trained weights of two axes or more); what follows a
 * kernel without one, as normalizations do, belongs to its block. So a residual block is one, and a convolution of a plain network with its
 * normalization is one, also in models inside the network.
 *
 * @returns `freezeUntil` of each stage, undefined for the last; two at least
 * @throws RangeError as `frozenPart`, or when the layer comes before the first place where a single tensor passes
 */
export function unfreezingStages(
  model: tfl.LayersModel,
  freezeUntil: string,
): readonly (string | undefined)[] {
  const { evaluated } = frozenPart(model, { freezeUntil })
  const cuts = cutPoints(model).filter(({ steps }) =>
    steps.every(({ layer }) => layer.weights.length === 0 || isWithin(layer, evaluated)),
  )
  const starts = cuts.map(({ steps }) => steps.length)
  const hasKernel = cuts.map(({ steps }, i) =>
    steps.slice(starts[i - 1] ?? 0).some(({ layer }) => layer.trainableWeights.some(isKernel)),
  )
  const firstKernel = hasKernel.indexOf(true)
  if (firstKernel < 0) {
    throw new RangeError(
      `train: unfreezeEvery must come with a freezeUntil layer up to which a block can be unfrozen, got ${freezeUntil} ` +
        '(no single tensor passes up to there after a layer with weights to train)',
    )
  }
  const ends = cuts.filter((_, i) => i >= firstKernel && hasKernel[i + 1])
  const paths = ends.map(({ tensor }) => pathOf(model, tensor.sourceLayer)).reverse()
  return [freezeUntil, ...paths, undefined]
}

function isWithin(layer: tfl.layers.Layer, evaluated: ReadonlySet<tfl.layers.Layer>): boolean {
  return isNestedModel(layer) ? layer.layers.every(each => isWithin(each, evaluated)) : evaluated.has(layer)
}

function isKernel({ shape }: tfl.LayerVariable): boolean {
  return shape.length > 1
}

/**
 * The number of the stage that an epoch belongs to.
 *
 * @param epoch from 1
 * @param every epochs of a stage
 * @param stages how many there are; the last one lasts
 */
export function stageOfEpoch(epoch: number, every: number, stages: number): number {
  return Math.min(Math.floor((epoch - 1) / every), stages - 1)
}

/** What a person should know of the stages of a run before it begins: one sentence. */
export function stagesText(stages: readonly (string | undefined)[], every: number, epochs: number): string {
  const last = stageOfEpoch(epochs, every, stages.length)
  const [blocks, left] = [stages.length - 1, stages.length - 1 - last]
  const begin = stages
    .slice(1, last + 1)
    .map(
      (until, i) =>
        `${until === undefined ? 'all' : `what follows ${until}`} from epoch ${(i + 1) * every + 1}`,
    )
  const interval = every === 1 ? 'epoch' : `${every} epochs`
  const trained = `Unfreezes a block every ${interval}${begin.length > 0 ? `: ${shortened(begin).join(', ')}` : ''}`
  if (left === 0) return `${trained}.`
  return (
    `${trained}; ${left} of ${blocks} blocks stay frozen, since the run lasts ${epochs} epochs and the last would be unfrozen in ` +
    `epoch ${blocks * every + 1}.`
  )
}

function shortened(parts: readonly string[]): readonly string[] {
  return parts.length > 6 ? [...parts.slice(0, 4), '…', ...parts.slice(-1)] : parts
}
