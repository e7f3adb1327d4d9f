import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import { datasets } from '../../src/data/datasets/datasets.js'
import type { ModelFacts } from '../../src/export/metadata.js'
import { loadModelFolder } from '../../src/files/model-files.js'
import { setPatchesPerExpert } from '../../src/layers/moe/routing-layers.js'
import { RoutedModel } from '../../src/models/routed-model.js'
import type { RunConfig } from '../../src/run/run-config.js'
import { openRun } from '../../src/run/run-folder.js'
import { UsageError } from '../terminal/usage-error.js'
import { foreignWeights } from './foreign-weights.js'
import { loadTrained } from './trained-model.js'
import { loadWholeModel } from './weights-file.js'

/** A model that a person names by the folder of a run, or of a saved model. */
export interface OpenedModel {
  readonly model: tfl.LayersModel
  /** The folder or file that was named. */
  readonly directory: string
  /** The configuration of the run, where the model is that of a run. */
  readonly config?: RunConfig
  /** The classes that it tells apart, where the run or the saved model says so. */
  readonly classNames?: readonly string[]
  /** Whether it was trained by this library, on pixels of 0..1, as a run and an export of one say. */
  readonly isOfPatchMoe?: boolean
}

/**
 * Loads the trained model of a run, a saved tfjs LayersModel, or a network of Keras, on the current backend.
 *
 * @param path folder of a run, folder of a model, or its `model.json`, or a whole network in `.keras` or `.h5`
 * @throws Error when there is neither, files are missing or damaged, a run has not ended, or a layer's class is not
 * registered
 */
export async function openModel(path: string): Promise<OpenedModel> {
  const directory = basename(path) === 'model.json' ? dirname(path) : path
  if (existsSync(join(directory, 'config.json')) && !existsSync(join(directory, 'model.json'))) {
    const run = await openRun(directory)
    const { config } = run
    const { classNames } = config.dataset
    return { model: await loadTrained(run), directory, config, classNames, isOfPatchMoe: true }
  }
  if (!existsSync(join(directory, 'model.json'))) return openedFile(path)
  const model = await loadModelFolder(directory)
  const { classNames, preprocessing } = storedFacts(model)
  return { model, directory, ...(classNames && { classNames }), isOfPatchMoe: preprocessing !== undefined }
}

/** A network that one file holds whole. */
async function openedFile(path: string): Promise<OpenedModel> {
  const foreign = await foreignWeights(path)
  if (foreign || !existsSync(path)) throw await notOpened(path)
  const whole = await loadWholeModel(path)
  if (!whole) throw await notOpened(path)
  return { model: whole.model, directory: path }
}

/**
 * A model as one that takes whole images, where it is one that reads them in parts: the same network, of which no more is
 * computed.
 */
export function takingWholeImages(opened: OpenedModel): OpenedModel {
  const options = opened.config?.model.options
  if (options?.kind !== 'routed') return opened
  return { ...opened, model: new RoutedModel(opened.model, options.imageShape).imageModel() }
}

/**
 * Refuses a run that reads images in parts, where a command is for other networks.
 *
 * @param requirement what must be otherwise, `prune: network must have experts that can be removed`
 * @throws UsageError telling what such runs are for
 */
export function refuseRouted(
  { directory, config }: { readonly directory: string; readonly config?: RunConfig },
  requirement: string,
): void {
  if (config?.model.options.kind !== 'routed') return
  throw new UsageError(
    `${requirement}, got ${directory} of model routed, which reads images in parts ` +
      '(evaluate, predict, explain, export and train --resume take it)',
  )
}

async function notOpened(path: string): Promise<Error> {
  const requirement = `${path}: must be the folder of a run or of a saved model`
  const foreign = await foreignWeights(path)
  if (foreign && foreign.what !== 'a folder') {
    const { what, advice } = foreign.isTfjsModel ? { ...foreign, advice: 'call it model.json' } : foreign
    return new Error(`${requirement}, got ${what}${advice ? `: ${advice}` : ''}`)
  }
  return existsSync(path) && !foreign
    ? new Error(`${requirement}, got a file of weights (pmoe import puts them into a network)`)
    : new Error(`${requirement}, got neither config.json nor model.json`)
}

/**
 * Has the experts of a model keep another number of patches than in training, where a command was asked for that.
 *
 * @throws UsageError when the model has no layers that keep patches, or one has fewer patches
 */
export function keepPatches(
  model: tfl.LayersModel,
  command: string,
  { patchesPerExpert }: { readonly patchesPerExpert?: number },
): void {
  if (patchesPerExpert === undefined) return
  try {
    setPatchesPerExpert(model, patchesPerExpert, `${command}: --patches-per-expert`)
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error
  }
}

/** Whether a model was trained on a dataset of floats, of which there are no image files. */
export function isTrainedOnFloats({ config }: Pick<OpenedModel, 'config'>): boolean {
  return datasets.some(({ name, values }) => name === config?.dataset.name && values === 'floats')
}

/** The names of the classes, and what is done to pixels, as `pmoe export` stores them with a tfjs model. */
function storedFacts(model: tfl.LayersModel): Pick<ModelFacts, 'classNames' | 'preprocessing'> {
  const { classNames, preprocessing } = (model.getUserDefinedMetadata() ?? {}) as Record<string, unknown>
  const areNames = Array.isArray(classNames) && classNames.every(name => typeof name === 'string')
  return {
    ...(areNames && { classNames }),
    ...(typeof preprocessing === 'string' && { preprocessing }),
  }
}
