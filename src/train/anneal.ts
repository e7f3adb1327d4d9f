import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { allPlacedLayers } from '../layers/layer-paths.js'
import { PatchMoE } from '../layers/moe/patch-moe.js'
import { isPositiveInteger } from '../shapes.js'

/** How the patches that experts keep become fewer during training. */
export interface PatchAnnealing {
  /** L in the first epoch, in [1, N]. */
  readonly from: number
  /** L at the end, in [1, from]. */
  readonly to: number
  /** Number of epochs until L is `to`: it is from the next epoch on. */
  readonly epochs: number
}

const optionNames = {
  from: true,
  to: true,
  epochs: true,
} as const satisfies OptionNames<PatchAnnealing>

/**
 * L in an epoch, decreasing evenly on a logarithmic scale: `from` times (to/from)^((epoch - 1)/epochs), rounded; `to` in
 * the epochs after these.
 *
 * @param epoch from 1
 */
export function annealedPatches({ from, to, epochs }: PatchAnnealing, epoch: number): number {
  if (epoch > epochs) return to
  return Math.round(from * (to / from) ** ((epoch - 1) / epochs))
}

/**
 * The mixtures whose L is annealed: every `PatchMoE` of a model, in nested models too.
 *
 * @throws RangeError when the numbers are not positive integers, `to` exceeds `from`, the training ends before `to` is
 * reached, the model has no `PatchMoE`, or `from` exceeds the patches of one
 */
export function annealedLayers(
  model: tfl.LayersModel,
  annealing: PatchAnnealing,
  trainingEpochs: number,
): readonly PatchMoE[] {
  checkOptionNames('train: annealPatches', annealing, optionNames)
  const { from, to, epochs } = annealing
  for (const [name, value] of Object.entries({ from, to, epochs })) {
    if (isPositiveInteger(value)) continue
    throw new RangeError(`train: annealPatches.${name} must be a positive integer, got ${value}`)
  }
  if (to > from) throw new RangeError(`train: annealPatches.to must be at most from, ${from}, got ${to}`)
  if (epochs >= trainingEpochs) {
    throw new RangeError(
      `train: annealPatches.epochs must be fewer than the ${trainingEpochs} epochs of training, got ${epochs}`,
    )
  }
  const layers = allPlacedLayers(model).flatMap(({ layer }) => (layer instanceof PatchMoE ? [layer] : []))
  if (layers.length === 0)
    throw new RangeError(`train: annealPatches must be for a model with a PatchMoE, got none`)
  for (const { name, grid } of layers) {
    if (from <= grid.count) continue
    throw new RangeError(
      `train: annealPatches.from must be in [1, ${grid.count}], got ${from} (patches of layer ${name})`,
    )
  }
  return layers
}
