import { type PlannedRun, withNetwork } from '../../src/run/run-config.js'
import type { RunData } from './run-data.js'
import type { GivenFlags } from './train-settings.js'

/** Has a configuration say which images were loaded. */
export function withLoadedImages(
  run: PlannedRun,
  { prepared }: Pick<RunData, 'prepared'>,
  samples: number | null,
): PlannedRun {
  return { ...run, dataset: { ...run.dataset, ...prepared, samples } }
}

/** One logit tells two classes apart, as many recipes have it; settings of the data may give more. */
export function fittedToClasses(run: PlannedRun, classes: number): PlannedRun {
  const { options } = run.model
  if (classes === 2 || options.kind === 'init') return run
  const { oneLogit: _, ...network } = options
  return withNetwork(run, network)
}

/** Two-layer models cut composed images into their cells unless told otherwise, and the CNN keeps every patch. */
export function fittedToPatches(
  run: PlannedRun,
  { patchSize: asked }: GivenFlags,
  { shape: [height, width], cells }: Pick<RunData['train'], 'shape' | 'cells'>,
): PlannedRun {
  const { name, options } = run.model
  if (options.kind !== 'two-layer') return run
  const patchSize = asked === undefined && cells ? height / cells[0] : options.patchSize
  const every = Math.floor(height / patchSize) * Math.floor(width / patchSize)
  return withNetwork(run, {
    ...options,
    patchSize,
    patchesPerExpert: name === 'two-layer' ? every : options.patchesPerExpert,
  })
}
