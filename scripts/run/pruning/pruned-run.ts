import { resolve } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { BackendChoice } from '../../../src/backend/choose.js'
import type { StoredTensor } from '../../../src/data/formats/safetensors.js'
import type { PruningReceipt } from '../../../src/prune/index.js'
import { type RunConfig, runConfig } from '../../../src/run/run-config.js'
import type { RunFolder } from '../../../src/run/run-folder.js'
import type { Routers } from '../../../src/run/starting-routers.js'
import { matchingLayers, matchingWeights } from '../../../src/train/layer-patterns.js'
import { versionsOf } from '../new-run.js'

/** Epochs that a pruned network is trained for, where nothing else is asked for. */
export const fineTuningEpochs = 5

/** What the run of a pruned network has of its own. */
export interface PrunedRunSettings {
  readonly dataset: RunConfig['dataset']
  readonly seed: number
  readonly epochs: number
  readonly backend: BackendChoice
}

/**
 * The configuration of the run that a pruned network begins: as of a run that starts from a network trained before, with
 * the settings of the unpruned one at a tenth of its rates. What belonged to the routers' own training is left out, and so
 * are patterns of layers and weights that went with the experts.
 *
 * @param model the pruned network
 */
export function prunedConfig(
  source: RunFolder,
  model: tfl.LayersModel,
  settings: PrunedRunSettings,
): RunConfig {
  const { backend, seed, dataset } = settings
  const config = {
    ...source.config,
    dataset,
    model: { name: 'init', options: { kind: 'init', from: resolve(source.directory), head: 'keep' } },
    training: furtherTraining(source.config.training, model, settings.epochs),
    seed,
    backend: backend.name,
    versions: versionsOf(backend),
  }
  return runConfig(config, 'prune')
}

function furtherTraining(
  training: RunConfig['training'],
  model: tfl.LayersModel,
  epochs: number,
): RunConfig['training'] {
  const {
    annealPatches: _,
    routerTraining: __,
    routerEpochs: ___,
    routerBatchSize: ____,
    routerLearningRate: _____,
    freeze = [],
    layerRates = [],
    ...rest
  } = training
  const frozen = freeze.filter(pattern => isThere(() => matchingLayers(model, pattern, 'prune')))
  const rates = layerRates
    .filter(({ pattern }) => isThere(() => matchingWeights(model, pattern, 'prune')))
    .map(({ pattern, learningRate }) => ({ pattern, learningRate: learningRate / 10 }))
  return {
    ...rest,
    epochs,
    learningRate: training.learningRate / 10,
    ...(frozen.length > 0 && { freeze: frozen }),
    ...(rates.length > 0 && { layerRates: rates }),
  }
}

/** Whether what a pattern names is still in the model. */
function isThere(matching: () => readonly unknown[]): boolean {
  try {
    return matching().length > 0
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/**
 * The routers that the run of a pruned network keeps as its start: those that the unpruned run started with, of the experts
 * that stay, so that a later pruning compares with the same. A router whose reference has another shape is left out.
 *
 * @param start routers of the unpruned run's start
 * @param pruned routers of the pruned network
 * @param receipts what was removed
 */
export function startOfPruned(
  start: Routers,
  pruned: Routers,
  receipts: readonly Pick<PruningReceipt, 'layer' | 'kept'>[],
): Routers {
  const routers = [...pruned].flatMap(([name, { shape }]) => {
    const before = start.get(name)
    if (!before) return []
    if (before.shape.join() === shape.join()) return [[name, before] as const]
    const receipt = receipts.find(({ layer }) => name === `${layer}/router`)
    const ofKept = receipt && columns(before, receipt.kept)
    return ofKept?.shape.join() === shape.join() ? [[name, ofKept] as const] : []
  })
  return new Map(routers)
}

/** Some columns of a router (h,w,C,K): those of some experts. */
function columns({ shape, data }: StoredTensor, kept: readonly number[]): StoredTensor {
  const experts = shape.at(-1) ?? 1
  const rows = data.length / experts
  const values = Float32Array.from({ length: rows * kept.length }, (_, i) => {
    const row = Math.floor(i / kept.length)
    return Number(data[row * experts + (kept[i % kept.length] ?? 0)])
  })
  return { dtype: 'F32', shape: [...shape.slice(0, -1), kept.length], data: values }
}
