import type { DatasetEntry } from '../../src/data/datasets/datasets.js'
import type { Size2D } from '../../src/shapes.js'
import { UsageError } from '../terminal/usage-error.js'
import type { Draft, GivenFlags } from './train-settings.js'

/**
 * Has the images fit a network that was trained before, where the dataset can, and checks what is asked of a mixture.
 *
 * @throws UsageError when flags of a mixture come without `--experts`, or it is not said how many patches are kept
 */
export function fitInitial(
  draft: Draft,
  { imageSize }: { readonly imageSize: Size2D },
  { settings = [] }: Pick<DatasetEntry, 'settings'>,
): void {
  const dataset = draft.dataset as Draft
  if (settings.includes('imageSize')) dataset.imageSize ??= [...imageSize]
  const { insert } = (draft.model as { options: { insert?: Draft } }).options
  if (!insert) return
  if (insert.numExperts === undefined) {
    throw new UsageError(
      `train: --experts must be given with other flags of a mixture, got none (see pmoe plan)`,
    )
  }
  if (insert.patchesPerExpert !== undefined || (draft.training as Draft).annealPatches !== undefined) return
  throw new UsageError(
    'train: --patches-per-expert or --anneal-patches must be given with --experts, got neither (see pmoe plan)',
  )
}

/**
 * Has the configuration of a mixture name the patches that it keeps in the end, where they are annealed.
 *
 * @throws UsageError when another number was asked for as well
 */
export function fitAnnealing(draft: Draft, { patchesPerExpert }: GivenFlags): void {
  const { annealPatches } = draft.training as { annealPatches?: { to: number } }
  if (!annealPatches) return
  if (patchesPerExpert !== undefined) {
    throw new UsageError(
      `train: --patches-per-expert must be left out with --anneal-patches, got ${patchesPerExpert}`,
    )
  }
  const { pmoe, insert } = (draft.model as { options: { pmoe?: Draft; insert?: Draft } }).options
  const mixture = pmoe ?? insert
  if (mixture) mixture.patchesPerExpert = annealPatches.to
}
