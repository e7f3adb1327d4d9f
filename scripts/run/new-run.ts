import * as tf from '@tensorflow/tfjs-core'
import type { BackendChoice } from '../../src/backend/choose.js'
import { type DatasetEntry, datasetEntry } from '../../src/data/datasets/datasets.js'
import { fineTuningRecipe, type Recipe, recipe, type TrainingRecipe } from '../../src/models/recipes.js'
import { type PlannedRun, plannedRun, type RunConfig, runConfig } from '../../src/run/run-config.js'
import type { RunModel } from '../../src/run/setting.js'
import { type OptimizerName, settingsNotOf } from '../../src/train/optimizers/optimizer-options.js'
import { dataPath } from '../terminal/data-path.js'
import { packageVersion } from '../terminal/package-version.js'
import { asUsage, UsageError } from '../terminal/usage-error.js'
import {
  fittedToCells,
  fittedToClasses,
  fittedToPatches,
  fittedToRegions,
  withLoadedImages,
} from './fitted-run.js'
import {
  checkFolder,
  checkSettings,
  loadData,
  loadRegions,
  type RegionData,
  type RunData,
} from './run-data.js'
import { withSeparateRouters } from './separate-routers.js'
import { type GivenFlags, namingFlags, withFlags } from './train-settings.js'
import { fittedToInitial, type Initial, withAnnealing, withEnoughSteps } from './transfer/fine-tuning.js'

/** A run that has not begun: its configuration and its images. */
export interface NewRun {
  readonly config: RunConfig
  readonly data: RunData | RegionData
}

/** What is requested of a new run. */
export interface RunRequest {
  readonly dataset: string
  readonly model: RunModel
  /** For model `init`: where it comes from, and the images that it takes. */
  readonly init?: Initial
  /** Folder of the user's own files. */
  readonly data?: string | undefined
  /** Settings that differ from the recipe. */
  readonly flags: GivenFlags
}

/**
 * Puts together the configuration of a run, from the recipe of its dataset and model and what the user changed, and
 * loads its images.
 *
 * @param backend that was chosen
 * @throws UsageError for an unknown name or an impossible setting; Error when data are missing or damaged
 */
export async function newRun(request: RunRequest, backend: BackendChoice): Promise<NewRun> {
  const { flags } = request
  const wording = namingFlags(request.model)
  const entry = checkedDataset(request)
  const planned = asUsage(() => wantedRun(request, entry, backend), wording)
  const { data, samples } = await loadUpTo(planned, flags.samples !== undefined)
  checkBoxed(planned.dataset, data)
  const loaded = withLoadedImages(planned, data, samples)
  const fitted = withEnoughSteps(fittedToImages(loaded, flags, data.train), flags, data.train.count)
  return { config: asUsage(() => completeConfig(fitted, data.train), wording), data }
}

/**
 * A run as `newRun` puts it together, of a network that takes whole images.
 *
 * @throws UsageError for model `routed`; else as `newRun`
 */
export async function newWholeRun(
  request: RunRequest,
  backend: BackendChoice,
): Promise<NewRun & { readonly data: RunData }> {
  if (request.model === 'routed') {
    throw new UsageError('train: model must take whole images here, got routed (pmoe train takes it)')
  }
  const { config, data } = await newRun(request, backend)
  return { config, data: data as RunData }
}

function checkedDataset({ dataset, data }: RunRequest): DatasetEntry {
  const entry = asUsage(() => datasetEntry(dataset))
  checkFolder('train', entry, data)
  if (entry.source !== 'generated' || data === undefined) return entry
  throw new UsageError(`train: --data must be left out for ${entry.name}, got ${data} (its images are drawn)`)
}

/**
 * The requested configuration of a run, before its images are known: the recipe with the user's flags.
 *
 * @throws RangeError or UsageError for impossible settings
 */
export function wantedRun(request: RunRequest, entry: DatasetEntry, backend: BackendChoice): PlannedRun {
  const { model, flags, init } = request
  const flagged = plannedRun(withFlags(recipeRun(request, backend), model, flags), 'train')
  const initial = init ? fittedToInitial(flagged, init, entry) : flagged
  const planned = fittedToCells(withAnnealing(initial, flags))
  checkSettings(entry, planned.dataset)
  return planned
}

/**
 * The run that the recipe of a dataset and a model describes.
 *
 * @throws RangeError where there is no recipe
 */
export function recipeRun(request: RunRequest, backend: BackendChoice): PlannedRun {
  const { model: options, training: recipeTraining } = startingPoint(request)
  const { samples, fullBatch, ...recipeOptimisation } = recipeTraining
  const { samples: requested, optimizer } = request.flags
  const training = {
    ...forOptimizer(recipeOptimisation, optimizer as OptimizerName | undefined),
    ...(fullBatch && typeof requested === 'number' && { batchSize: requested }),
  }
  const run = {
    dataset: { name: request.dataset, data: dataPath(request.data), samples, testSamples: null },
    model: { name: request.model, options },
    training,
    seed: 1,
    backend: backend.name,
    versions: versionsOf(backend),
  }
  return plannedRun(run, 'train')
}

/** What a recipe says for its optimizer alone is not said of another one. */
function forOptimizer(
  training: Omit<TrainingRecipe, 'samples' | 'fullBatch'>,
  asked: OptimizerName | undefined,
): object {
  if (asked === undefined || asked === training.optimizer) return training
  const others: readonly string[] = settingsNotOf(asked)
  return Object.fromEntries(Object.entries(training).filter(([name]) => !others.includes(name)))
}

interface StartingPoint {
  readonly model: Recipe['model'] | { readonly kind: 'init'; readonly from: string }
  readonly training: TrainingRecipe
}

function startingPoint({ dataset, model, init }: RunRequest): StartingPoint {
  if (model !== 'init') return recipe(dataset, model)
  if (!init) throw new RangeError('train: model init must come with --init, got none')
  return { model: { kind: 'init', from: init.from }, training: fineTuningRecipe(dataset) }
}

/** The versions that compute a run. */
export function versionsOf({ tensorflow }: BackendChoice): RunConfig['versions'] {
  return {
    patchMoe: packageVersion(),
    tfjs: tf.version_core,
    node: process.versions.node,
    ...(tensorflow && { tensorflow: tensorflow.version }),
  }
}

/** Loads the recipe's number of images, or all images where a user's folder holds fewer. */
async function loadUpTo(
  { model, dataset: planned, seed }: PlannedRun,
  isSamplesGiven: boolean,
): Promise<{ data: NewRun['data']; samples: number | null }> {
  const load = model.options.kind === 'routed' ? loadRegions : loadData
  try {
    return { data: await load(planned, seed), samples: planned.samples }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const usage = () => new UsageError(namingFlags(model.name)(error.message), { cause: error })
    if (planned.data === null) throw usage()
    // Damaged files fail again here; where all images load, too many of them were asked for.
    const allImages = await load({ ...planned, samples: null, testSamples: null }, seed)
    if (isSamplesGiven || planned.testSamples !== null) {
      throw usage()
    }
    return { data: allImages, samples: null }
  }
}

/** Prepared images come without boxes: that these teach nothing must not go unnoticed. */
function checkBoxed(
  { name, boxes, boxedImages, data: folder }: PlannedRun['dataset'],
  data: NewRun['data'],
): void {
  const given = boxes === undefined ? boxedImages !== undefined && '--boxed-images' : '--boxes'
  if (!given || data.prepared === undefined) return
  const remedy =
    datasetEntry(name).source === 'folder'
      ? 'let --data name the folder that they were prepared from: its files have'
      : `leave --data out: the images that ${name} draws have`
  throw new UsageError(
    `train: ${given} must come with images that have boxes, got ${folder} (prepared images have none; ${remedy})`,
  )
}

function fittedToImages(run: PlannedRun, flags: GivenFlags, images: NewRun['data']['train']): PlannedRun {
  const classes = images.classNames.length
  const fitted = fittedToPatches(fittedToClasses(run, classes), flags, images)
  return withSeparateRouters(fittedToRegions(fitted, flags, images), flags, classes)
}

function completeConfig(run: PlannedRun, images: NewRun['data']['train']): RunConfig {
  const { classNames, groupNames, shape } = images
  const { options } = run.model
  const dataset = { ...run.dataset, classNames, ...(groupNames && { groupNames }) }
  const model =
    options.kind === 'routed' ? { ...run.model, options: { ...options, imageShape: shape } } : run.model
  return runConfig({ ...run, model, dataset }, 'train')
}
