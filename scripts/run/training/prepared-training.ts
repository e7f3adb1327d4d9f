import { resolve } from 'node:path'
import { type BackendName, useBackend } from '../../../src/backend/choose.js'
import type { PixelScaling } from '../../../src/layers/input-scaling.js'
import { type ModelName, modelNames } from '../../../src/models/recipes.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import type { RunModel } from '../../../src/run/setting.js'
import { type FedModel, networkOf } from '../../../src/train/feed.js'
import { asUsage, asUsageLater, UsageError } from '../../terminal/usage-error.js'
import { buildNetwork, buildRouted } from '../network.js'
import { type NewRun, newRun } from '../new-run.js'
import { type OpenedModel, openModel, refuseRouted } from '../opened-model.js'
import { preferThreadsFor } from '../regions/region-threads.js'
import type { RunData } from '../run-data.js'
import { type GivenFlags, namingFlags } from '../train-settings.js'
import { checkLayers, checkOptimizer, checkTargets, useComputeSettings } from '../training-run.js'
import { imageSizeOf, initialNetwork } from '../transfer/initial-model.js'
import { chosenScaling } from '../transfer/input-scaling.js'
import { withBatchSize } from './chosen-batch-size.js'
import { checkFeatureCache, freezingNotes } from './freezing.js'

/** The flags of a training that has not begun, as commander hands them over; those of `trainSettings` are among them. */
export interface TrainingRequest extends GivenFlags {
  readonly dataset?: string
  readonly data?: string
  readonly model?: ModelName | 'init'
  readonly init?: string
  readonly backend?: BackendName | 'auto'
  /** Images a step; `auto` measures how many fit. */
  readonly batchSize?: number | 'auto'
  /** How the network of `--init` takes pixels; `auto` recognises it. */
  readonly inputScaling?: PixelScaling | 'auto'
}

/** A training that can begin: nothing of it can fail for its settings, and nothing is written. */
export interface PreparedTraining extends NewRun {
  readonly network: FedModel
  /** What the network was before, where it was trained before. */
  readonly opened: OpenedModel | undefined
  /** What the user should know of the network and its batches, a sentence each. */
  readonly notes: readonly string[]
}

/**
 * The dataset and the model that a training is asked for.
 *
 * @param where the command, for errors
 * @throws UsageError where one is missing
 */
export function requiredNames(
  { dataset, model: named, init }: TrainingRequest,
  where: string,
): { readonly dataset: string; readonly model: RunModel } {
  const model = named ?? (init === undefined ? undefined : 'init')
  if (dataset === undefined) {
    throw new UsageError(`${where}: --dataset must be given (see pmoe ${where} --help)`)
  }
  if (model === undefined) {
    throw new UsageError(`${where}: --model must be given, one of ${modelNames.join(', ')}`)
  }
  return { dataset, model }
}

/**
 * Chooses the backend, loads the images and builds the network of a training, and checks all of its settings.
 *
 * @param where the command, for errors
 * @throws UsageError for settings that cannot work; Error when data are missing or damaged
 */
export async function preparedTraining(request: TrainingRequest, where: string): Promise<PreparedTraining> {
  const { dataset, model } = requiredNames(request, where)
  const { init, batchSize, inputScaling, ...given } = request
  preferThreadsFor({ ...given, model, dataset })
  const backend = await useBackend(request.backend ?? 'auto')
  const opened = init === undefined ? undefined : await openInitial(init, model)
  const { config, data } = await newRun(
    {
      dataset,
      model,
      data: request.data,
      flags: {
        ...given,
        ...(typeof batchSize === 'number' && { batchSize }),
        ...scalingFlag(opened, inputScaling, where),
      },
      ...(opened && { init: { from: resolve(opened.directory), imageSize: imageSizeOf(opened) } }),
    },
    backend,
  )
  const flags = namingFlags(model)
  asUsage(() => checkOptimizer(config), flags)
  await asUsageLater(() => checkTargets(config, data.train), flags)
  useComputeSettings(config)
  const starting = await startingNetwork(config, data, opened)
  const network = starting.model
  asUsage(() => checkLayers(networkOf(network), config), flags)
  asUsage(() => checkFeatureCache(network, config, data))
  const startingNotes = [...starting.notes, ...freezingNotes(config)]
  if (batchSize !== 'auto') return { config, data, network, opened, notes: startingNotes }
  const chosen = await withBatchSize(config, data, network)
  return { config: chosen.config, data, network, opened, notes: [...startingNotes, chosen.note] }
}

/** The scaling that is asked for or that the network shows; without such a network the flag is refused as others are. */
function scalingFlag(
  opened: OpenedModel | undefined,
  asked: TrainingRequest['inputScaling'],
  where: string,
): GivenFlags {
  if (opened) return { inputScaling: chosenScaling(opened, where, asked).scaling }
  return asked === undefined ? {} : { inputScaling: asked }
}

async function openInitial(path: string, model: string): Promise<OpenedModel> {
  if (model === 'init') {
    const opened = await openModel(path)
    refuseRouted(opened, 'train: --init must be a network of whole images')
    return opened
  }
  throw new UsageError(`train: --model must be init or left out with --init, got ${model}`)
}

async function startingNetwork(
  config: RunConfig,
  data: NewRun['data'],
  opened: OpenedModel | undefined,
): Promise<{ readonly model: FedModel; readonly notes: readonly string[] }> {
  const { options } = config.model
  if (opened && options.kind === 'init') {
    return initialNetwork(opened, options, (data as RunData).train, config.seed)
  }
  return { model: asUsage(() => newNetwork(config, data), namingFlags(config.model.name)), notes: [] }
}

/** The network that a configuration describes, for images such as these. */
export function newNetwork({ model: { options }, seed }: RunConfig, { train }: NewRun['data']): FedModel {
  return options.kind === 'routed' ? buildRouted(options, train, seed) : buildNetwork(options, train, seed)
}
