import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { BackendChoice } from '../../src/backend/choose.js'
import { type RunConfig, runConfig } from '../../src/run/run-config.js'
import type { TrainingExperiment, Variant } from '../experiments/experiment.js'
import { experimentNamed } from '../experiments/experiments.js'
import { buildNetwork } from '../run/network.js'
import { newRun } from '../run/new-run.js'
import { loadData, type RunData } from '../run/run-data.js'
import type { Cell } from './cells.js'
import type { StudyConfig } from './study-config.js'

/** A cell that is ready to be trained. */
export interface CellRun {
  readonly config: RunConfig
  readonly data: RunData
  readonly model: tfl.LayersModel
}

/** The seed whose images all seeds share where they are asked to. */
const sharedSeed = 1

/** Standard deviation of the routers' initial weights, eq. (7), as the layers have it. */
const usualDeviation = 1e-4

/**
 * Loads the images of a cell and builds its network.
 *
 * @throws UsageError, RangeError or Error as `newRun`, for what cannot be trained
 */
export async function prepareCell(study: StudyConfig, cell: Cell, backend: BackendChoice): Promise<CellRun> {
  const { grid } = study
  if (grid.kind !== 'training') throw new RangeError(`study: grid must be one of training, got ${grid.kind}`)
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
  const made = await newRun({ dataset, model: variant.model, data: folder, flags }, backend)
  const config = withMixture(made.config, variant.mixture)
  const data =
    study.sharedSubset && seed !== sharedSeed ? await loadData(config.dataset, sharedSeed) : made.data
  const model = buildNetwork(config.model.options, data.train, config.seed)
  if (variant.routerDeviation !== undefined) scaleRouters(model, variant.routerDeviation / usualDeviation)
  return { config, data, model }
}

/** The dataset that a study trains on, and the folder of its files; undefined for the samples of the package. */
export function cellData({ experiment, data, standIn }: StudyConfig): {
  dataset: string
  folder: string | undefined
} {
  const { data: known } = experimentNamed(experiment) as TrainingExperiment
  return data === null
    ? { dataset: known.standIn.dataset, folder: standIn ?? undefined }
    : { dataset: known.dataset, folder: data }
}

function variantOf(variants: readonly Variant[], { variant: name, index }: Cell): Variant {
  const found = variants.find(variant => variant.name === name)
  if (found) return found
  const known = variants.map(variant => variant.name).join(', ')
  throw new RangeError(`study: variant must be one of ${known}, got ${name} (cell ${index})`)
}

/** Puts the options of the mixture that have no flag into a configuration. */
function withMixture(config: RunConfig, mixture: Variant['mixture']): RunConfig {
  if (!mixture) return config
  const { options } = config.model
  const pmoe = { ...(options.kind === 'wide-resnet' && options.pmoe), ...mixture }
  return runConfig({ ...config, model: { ...config.model, options: { ...options, pmoe } } }, 'study')
}

/** Multiplies the routers' initial weights, which are normal: so their standard deviation is another one. */
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
