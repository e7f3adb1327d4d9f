import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { BackendChoice } from '../../src/backend/choose.js'
import { type RunConfig, runConfig } from '../../src/run/run-config.js'
import type { TrainingExperiment, Variant } from '../experiments/experiment.js'
import { experimentNamed } from '../experiments/experiments.js'
import { buildNetwork } from '../run/network.js'
import { newWholeRun } from '../run/new-run.js'
import { loadData, type RunData } from '../run/run-data.js'
import type { Cell } from './cell.js'
import type { TrainingGrid } from './grids/training-grid.js'
import type { StudyConfig } from './study-config.js'

/** A study of training. */
export type TrainingStudy = StudyConfig & { readonly grid: TrainingGrid }

/** A cell that is ready to be trained. */
export interface CellRun {
  readonly config: RunConfig
  readonly data: RunData
  readonly model: tfl.LayersModel
}

/** The seed whose images every seed trains on when the subset is shared. */
const sharedSeed = 1

/** Default standard deviation of the routers' initial weights in the layers, eq. (7). */
const defaultDeviation = 1e-4

/**
 * Loads the images of a cell and builds its network.
 *
 * @throws UsageError, RangeError or Error as `newWholeRun`, for what cannot be trained
 */
export async function prepareCell(
  study: TrainingStudy,
  cell: Cell,
  backend: BackendChoice,
): Promise<CellRun> {
  const { grid } = study
  const variant = variantOf(grid.variants, cell)
  const { dataset, folder } = cellData(study)
  const { samples, patchesPerExpert, experts, seed } = cell
  const flags = {
    ...grid.flags,
    ...variant.flags,
    samples,
    seed,
    ...(patchesPerExpert !== undefined && { patchesPerExpert }),
    ...(experts !== undefined && { experts }),
  }
  const run = await newWholeRun({ dataset, model: variant.model, data: folder, flags }, backend)
  const config = withMixture(run.config, variant.mixture)
  const data =
    study.sharedSubset && seed !== sharedSeed ? await loadData(config.dataset, sharedSeed) : run.data
  const model = buildNetwork(config.model.options, data.train, config.seed)
  if (variant.routerDeviation !== undefined) scaleRouters(model, variant.routerDeviation / defaultDeviation)
  return { config, data, model }
}

/** The dataset that a study trains on, and the folder of its files; undefined for the samples of the package. */
export function cellData({ experiment, data, standIn }: StudyConfig): {
  dataset: string
  folder: string | undefined
} {
  const { data: experimentData } = experimentNamed(experiment) as TrainingExperiment
  return data === null
    ? { dataset: experimentData.standIn.dataset, folder: standIn ?? undefined }
    : { dataset: experimentData.dataset, folder: data }
}

function variantOf(variants: readonly Variant[], { variant: name, index }: Cell): Variant {
  const match = variants.find(variant => variant.name === name)
  if (match) return match
  const names = variants.map(variant => variant.name).join(', ')
  throw new RangeError(`study: variant must be one of ${names}, got ${name} (cell ${index})`)
}

/** Puts the options of the mixture that have no flag into a configuration. */
function withMixture(config: RunConfig, mixture: Variant['mixture']): RunConfig {
  if (!mixture) return config
  const { options } = config.model
  const pmoe = { ...(options.kind === 'wide-resnet' && options.pmoe), ...mixture }
  return runConfig({ ...config, model: { ...config.model, options: { ...options, pmoe } } }, 'study')
}

/**
 * Multiplies the standard deviation of the routers' initial weights: these are normally distributed, so each is scaled.
 */
function scaleRouters(model: tfl.LayersModel, factor: number): void {
  const routers = model.weights.filter(({ originalName }) => originalName.endsWith('/router'))
  if (routers.length === 0) {
    throw new RangeError(`study: routerDeviation must come with routers, got a model without any`)
  }
  for (const router of routers) {
    const scaled = tf.mul(router.read(), factor)
    router.write(scaled)
    scaled.dispose()
  }
}
