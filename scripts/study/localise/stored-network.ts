import type * as tfl from '@tensorflow/tfjs-layers'
import { type Cell, cellText } from '../cell.js'
import type { OnLargeImages } from '../cell-result.js'
import type { LargeImagesGrid } from '../grids/large-images-grid.js'
import { studyCells } from '../study-config.js'
import { openStudy } from '../study-folder.js'

/**
 * Gives a network the weights with which a study `megapixel` trained the same one.
 *
 * @param directory of that study
 * @returns what it learned
 * @throws Error when the study has not trained it, or trained it otherwise
 */
export async function storedNetwork(
  directory: string,
  { tasks, steps, batchSize }: LargeImagesGrid,
  cell: Cell,
  network: tfl.LayersModel,
): Promise<OnLargeImages> {
  const study = await openStudy(directory)
  const { grid } = study.config
  if (grid.kind !== 'megapixel') {
    throw new Error(
      `study: --data must be a study megapixel, got ${directory}, which is of kind ${grid.kind}`,
    )
  }
  const task = (of: LargeImagesGrid['tasks']) => of.find(({ name }) => name === cell.setting)
  const own = JSON.stringify([task(tasks)?.flags, steps, batchSize])
  const other = JSON.stringify([task(grid.tasks)?.flags, grid.steps, grid.batchSize])
  if (own !== other) {
    throw new Error(`study: --data must be trained as this study trains, ${own}, got ${other} (${directory})`)
  }
  const { setting, variant, samples, seed } = cell
  const match = studyCells(study.config).find(
    each =>
      each.setting === setting && each.variant === variant && each.samples === samples && each.seed === seed,
  )
  const result = match && (await study.result(match.index))
  if (!match || result?.status !== 'done' || !result.onLargeImages) {
    throw new Error(
      `study: --data must hold the trained network of ${cellText(cell)}, got none in ${directory}`,
    )
  }
  await study.restoreNetwork(match.index, network)
  return result.onLargeImages
}
