import { datasetEntry } from '../../src/data/datasets/datasets.js'
import type { ImageSet } from '../../src/data/image-set.js'
import { type PlannedRun, withNetwork } from '../../src/run/run-config.js'
import { size2D } from '../../src/shapes.js'
import { UsageError } from '../terminal/usage-error.js'
import { expertLayersFor, patchOf, type RegionSizes, sizesFor } from './regions/region-sizes.js'
import type { RegionData, RunData } from './run-data.js'
import type { GivenFlags } from './train-settings.js'

/** Puts the number of images that were loaded, and the settings that they were prepared with, into a configuration. */
export function withLoadedImages(
  run: PlannedRun,
  { prepared }: Pick<RunData | RegionData, 'prepared'>,
  samples: number | null,
): PlannedRun {
  return { ...run, dataset: { ...run.dataset, ...prepared, samples } }
}

/** Removes `oneLogit`, which many recipes have, where settings of the data give another number of classes than two. */
export function fittedToClasses(run: PlannedRun, classes: number): PlannedRun {
  const { options } = run.model
  if (classes === 2 || !('oneLogit' in options)) return run
  const { oneLogit: _, ...network } = options
  return withNetwork(run, network)
}

/** For two-layer models: patches are the cells of composed images by default, and the CNN keeps every patch. */
export function fittedToPatches(
  run: PlannedRun,
  { patchSize: requestedPatchSize }: GivenFlags,
  { shape: [height, width], cells }: Pick<ImageSet, 'shape' | 'cells'>,
): PlannedRun {
  const { name, options } = run.model
  if (options.kind !== 'two-layer') return run
  const patchSize = requestedPatchSize === undefined && cells ? height / cells[0] : options.patchSize
  const allPatches = Math.floor(height / patchSize) * Math.floor(width / patchSize)
  return withNetwork(run, {
    ...options,
    patchSize,
    patchesPerExpert: name === 'two-layer' ? allPatches : options.patchesPerExpert,
  })
}

/** For models that read images in parts: training images are moved by up to half a cell, unless asked otherwise. */
export function fittedToCells(run: PlannedRun): PlannedRun {
  const { options } = run.model
  refuseTeaching(run)
  if (options.kind !== 'routed' || run.dataset.maxShift !== undefined) return run
  const cell = size2D(options.cellSize, 'train: cellSize')
  return { ...run, dataset: { ...run.dataset, maxShift: Math.floor(Math.min(...cell) / 2) } }
}

/**
 * For models that read images in parts, once their size is known: cells and view by that size where the recipe does not say, and
 * experts by the size of a patch, as far as nothing else is asked for.
 */
export function fittedToRegions(
  run: PlannedRun,
  flags: GivenFlags,
  { shape }: Pick<ImageSet, 'shape'>,
): PlannedRun {
  const { options } = run.model
  if (options.kind !== 'routed') return run
  const { recipe } = datasetEntry(run.dataset.name)
  const { cellSize, viewScale } = flags as Partial<RegionSizes>
  const asked = { ...(cellSize !== undefined && { cellSize }), ...(viewScale !== undefined && { viewScale }) }
  const network = { ...options, ...(recipe.routed?.cellSize === undefined && sizesFor(shape, asked)) }
  const expertLayers = options.expertLayers ?? expertLayersFor(patchOf(network))
  const fitted = withNetwork(run, { ...network, ...(expertLayers !== undefined && { expertLayers }) })
  if (flags.maxShift !== undefined) return fitted
  const { maxShift: _, ...dataset } = fitted.dataset
  return fittedToCells({ ...fitted, dataset })
}

function refuseTeaching({
  dataset: { boxedImages, boxes },
  training: { teachBy, teachEpochs },
}: PlannedRun): void {
  const given = boxes === undefined ? boxedImages && '--boxed-images' : '--boxes'
  if (given && teachBy === 'labels') {
    throw new UsageError(`train: --teach-by labels must come without ${given}, got both`)
  }
  if (given) return
  if (teachBy === 'boxes') {
    throw new UsageError('train: --teach-by boxes must come with --boxes or --boxed-images, got neither')
  }
  if (teachEpochs !== undefined && teachBy === undefined) {
    throw new UsageError(
      'train: --teach-epochs must come with --teach-by, --boxes or --boxed-images, got none',
    )
  }
}
