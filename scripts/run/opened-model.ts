import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { RunConfig } from '../../src/files/run-config.js'
import { loadModelFolder, openRun } from '../../src/files/run-folder.js'
import { loadTrained } from './trained-model.js'

/** A model that a person names by the folder of a run, or of a saved model. */
export interface OpenedModel {
  readonly model: tfl.LayersModel
  /** The folder that was named. */
  readonly directory: string
  /** What the run was, where it is one's. */
  readonly config?: RunConfig
}

/**
 * Loads the trained model of a run, or a saved tfjs LayersModel, on the current backend.
 *
 * @param path folder of a run, folder of a model, or its `model.json`
 * @throws Error when there is neither, files are missing or damaged, a run has not ended, or a layer's class is not
 * registered
 */
export async function openModel(path: string): Promise<OpenedModel> {
  const directory = basename(path) === 'model.json' ? dirname(path) : path
  if (existsSync(join(directory, 'config.json')) && !existsSync(join(directory, 'model.json'))) {
    const run = await openRun(directory)
    return { model: await loadTrained(run), directory, config: run.config }
  }
  if (!existsSync(join(directory, 'model.json'))) {
    throw new Error(
      `${path}: must be the folder of a run or of a saved model, got neither config.json nor model.json`,
    )
  }
  return { model: await loadModelFolder(directory), directory }
}
