import type { ImageSet } from '../../src/data/image-set.js'
import { type PlannedRun, withNetwork } from '../../src/run/run-config.js'
import { size2D } from '../../src/shapes.js'
import { UsageError } from '../terminal/usage-error.js'
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

function refuseTeaching({ dataset: { boxedImages, boxes }, training: { teachEpochs } }: PlannedRun): void {
  if (teachEpochs === undefined || boxedImages !== undefined || boxes !== undefined) return
  throw new UsageError(`train: --teach-epochs must come with --boxes or --boxed-images, got neither`)
}
