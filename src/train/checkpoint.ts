import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import crc32c from 'crc-32/crc32c.js'
import * as z from 'zod'
import { readSafetensors, type StoredTensor, writeSafetensors } from '../data/formats/safetensors.js'
import type { TermSums } from './auxiliary-loss.js'
import { type Computation, computationSchema } from './computation.js'
import type { EpochMetrics } from './events.js'
import { FROZEN_STATISTICS, type FreezeOptions } from './frozen/frozen-part.js'
import { GRADIENT_NORMS } from './optimizers/normalized-gradient-descent.js'
import type { OptimizerSlots } from './optimizers/optimizer.js'
import { type OptimizerOptions, optimizerNames } from './optimizers/optimizer-options.js'
import { SCHEDULES } from './optimizers/schedules.js'
import { type KeptCells, keptCellsSchema, keptSharesSchema } from './routing/kept-cells.js'
import type { StoredRouters } from './routing/mixture-measures.js'
import { routingSummarySchema } from './routing/routing-summary.js'
import { sampleRoutingSummarySchema } from './routing/sample-routing-metrics.js'
import { signOfLifeSchema } from './routing/signs-of-life.js'
import { restoreTensor, storeTensor } from './stored-tensors.js'
import type { ClassWeights } from './targets.js'
import type { StoredAverage } from './weight-average.js'

/** Where checkpoints are kept: a folder, a database of the browser, or memory. */
export interface CheckpointStore {
  /** Stores bytes under a name, completely or not at all, in place of those that were stored under it before. */
  write(name: string, bytes: Uint8Array): Promise<void>
  /** The bytes stored under a name, or undefined. */
  read(name: string): Promise<Uint8Array | undefined>
}

/** The name under which a run keeps its newest state. */
export const latestCheckpoint = 'latest.safetensors'

/** Everything that a training run needs to go on as if it had never stopped. */
export interface TrainState {
  /** Weights of the model by name, in the order of `model.weights`. */
  readonly weights: readonly (readonly [name: string, tensor: StoredTensor])[]
  readonly optimizer: OptimizerOptions
  readonly slots: OptimizerSlots
  /** The orders of the epochs and what layers draw follow from it. */
  readonly seed: number
  readonly batchSize: number
  /** Images of the training set. */
  readonly examples: number
  /** Epochs of the whole run, where its steps depend on them. */
  readonly epochs?: number
  /** What the loss compares outputs with, where that is not the labels alone. */
  readonly labelSmoothing?: number
  readonly classWeights?: ClassWeights
  /** That of `average`, where the weights are averaged. */
  readonly emaDecay?: number
  /** Which part of the network is frozen, where options besides `freeze` say so. */
  readonly frozen?: Omit<FreezeOptions, 'freeze'> & { readonly unfreezeEvery?: number }
  /** The moving averages of the weights. */
  readonly average?: StoredAverage
  /** What the run ends with if no later epoch is better, where epochs are chosen by validation images. */
  readonly best?: BestEpoch
  /** The routers of layers of experts when the run began; earlier versions stored none. */
  readonly routersAtStart?: StoredRouters
  /** Metrics of the epochs that are done; the running epoch is the next one. */
  readonly history: readonly EpochMetrics[]
  /** What the running epoch has done so far. */
  readonly running: RunningEpoch
  /** Identifies the configuration of the run. */
  readonly configKey?: string
  /** What computed the run until now; earlier versions stored none. */
  readonly computation?: Computation
}

/** The best epoch so far, and the weights that were measured in it. */
export interface BestEpoch {
  /** Its number, from 1. */
  readonly epoch: number
  /** As the weights of the state; averages, where the weights are averaged. */
  readonly weights: TrainState['weights']
}

/** The part of an epoch that is done. */
export interface RunningEpoch extends TermSums {
  /** Steps done. */
  readonly step: number
  /** Sum over the images of the loss of their batch. */
  readonly lossSum: number
  /** Images that were classified rightly. */
  readonly correct: number
  /** The patches that were kept, of images that are read in parts. */
  readonly kept?: KeptCells
  readonly seconds: number
}

const count = z.int().nonnegative()

/** The schemas of {@link EpochMetrics}. */
export const epochMetricsShape = {
  epoch: z.int().positive(),
  trainLoss: z.number(),
  trainAccuracy: z.number(),
  loadBalance: z.number().exactOptional(),
  diversity: z.number().exactOptional(),
  validationLoss: z.number().exactOptional(),
  validationAccuracy: z.number().exactOptional(),
  testLoss: z.number().exactOptional(),
  testAccuracy: z.number().exactOptional(),
  testWorstGroup: z.number().exactOptional(),
  bestEpoch: z.int().positive().exactOptional(),
  routing: routingSummarySchema.exactOptional(),
  sampleRouting: sampleRoutingSummarySchema.exactOptional(),
  signs: z.array(signOfLifeSchema).exactOptional(),
  kept: keptSharesSchema.exactOptional(),
  evaluatedKept: keptSharesSchema.exactOptional(),
  seconds: z.number(),
  learningRate: z.number(),
  patchesPerExpert: z.int().positive().exactOptional(),
  steps: count,
} as const

const progressSchema = z.strictObject({
  optimizer: z.strictObject({
    name: z.enum(optimizerNames),
    learningRate: z.number(),
    momentum: z.number().exactOptional(),
    norm: z.enum(GRADIENT_NORMS).exactOptional(),
    groups: z
      .array(z.strictObject({ weights: z.array(z.string()), parts: z.int().positive() }))
      .exactOptional(),
    l2: z.number().exactOptional(),
    weightDecay: z.number().exactOptional(),
    epsilon: z.number().exactOptional(),
    schedule: z.enum(SCHEDULES).exactOptional(),
    warmupEpochs: z.number().exactOptional(),
    decayEpochs: z.int().positive().exactOptional(),
    decayRate: z.number().exactOptional(),
    patienceEpochs: z.int().positive().exactOptional(),
    clipNorm: z.number().exactOptional(),
    layerRates: z.array(z.strictObject({ pattern: z.string(), learningRate: z.number() })).exactOptional(),
  }),
  seed: z.number(),
  batchSize: z.int().positive(),
  examples: z.int().positive(),
  epochs: z.int().positive().exactOptional(),
  labelSmoothing: z.number().exactOptional(),
  classWeights: z.union([z.literal('balanced'), z.record(z.string(), z.number())]).exactOptional(),
  emaDecay: z.number().exactOptional(),
  frozen: z
    .strictObject({
      freezeUntil: z.string().exactOptional(),
      trainOnly: z.array(z.string()).exactOptional(),
      freezeRouters: z.boolean().exactOptional(),
      frozenStatistics: z.enum(FROZEN_STATISTICS).exactOptional(),
      unfreezeEvery: z.int().positive().exactOptional(),
    })
    .exactOptional(),
  bestEpoch: z.int().positive().exactOptional(),
  history: z.array(z.strictObject(epochMetricsShape)),
  running: z.strictObject({
    step: count,
    lossSum: z.number(),
    correct: count,
    loadBalanceSum: z.number().exactOptional(),
    diversitySum: z.number().exactOptional(),
    kept: keptCellsSchema.exactOptional(),
    seconds: z.number(),
  }),
  configKey: z.string().exactOptional(),
  computation: computationSchema.exactOptional(),
})

const format = 'patch-moe checkpoint 1'
const weightPrefix = 'model/'
const slotPrefix = 'optimizer/'
const averagePrefix = 'average/'
const bestPrefix = 'best/'
const routerPrefix = 'start/'

/**
 * Writes the state of a run as one safetensors file.
 *
 * @returns the bytes; the same state gives the same bytes
 */
export function writeCheckpoint({
  weights,
  slots,
  average = [],
  best,
  routersAtStart = [],
  ...rest
}: TrainState): Uint8Array {
  const tensors: (readonly [string, StoredTensor])[] = [
    ...weights.map(([name, tensor]) => [weightPrefix + name, tensor] as const),
    ...slots.map(([name, tensor]) => [slotPrefix + name, tensor] as const),
    ...average.map(([name, tensor]) => [averagePrefix + name, tensor] as const),
    ...(best?.weights ?? []).map(([name, tensor]) => [bestPrefix + name, tensor] as const),
    ...routersAtStart.map(([name, tensor]) => [routerPrefix + name, tensor] as const),
  ]
  const text = JSON.stringify({ ...rest, ...(best && { bestEpoch: best.epoch }) })
  return writeSafetensors(tensors, { format, progress: text, checksum: checksumOf(text, tensors) })
}

/** CRC-32C of everything that a checkpoint holds, in hexadecimal digits. */
function checksumOf(progress: string, tensors: Iterable<readonly [string, StoredTensor]>): string {
  const all = [...tensors]
  const layout = JSON.stringify([progress, all.map(([name, { dtype, shape }]) => [name, dtype, shape])])
  let checksum = crc32c.buf(new TextEncoder().encode(layout))
  for (const [, { data }] of all) {
    checksum = crc32c.buf(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), checksum)
  }
  return (checksum >>> 0).toString(16).padStart(8, '0')
}

/**
 * Reads what `writeCheckpoint` wrote.
 *
 * @param bytes the whole file
 * @param name the file's name, for errors
 * @throws RangeError when the file is cut off, damaged (its checksum does not match), or not a checkpoint; the error
 *   names the file, and the byte offset if there is one
 * @throws Error with its cause when its progress cannot be read
 */
export function readCheckpoint(bytes: Uint8Array, name: string): TrainState {
  const { tensors, metadata } = readSafetensors(bytes, name)
  if (metadata.format !== format) {
    throw new RangeError(`${name}: format must be "${format}", got ${JSON.stringify(metadata.format)}`)
  }
  // Earlier versions wrote no checksum.
  if (metadata.checksum !== undefined) {
    const checksum = checksumOf(metadata.progress ?? '', tensors)
    if (checksum !== metadata.checksum) {
      throw new RangeError(
        `${name}: checksum must be ${metadata.checksum}, got ${checksum} (the file is damaged)`,
      )
    }
  }
  const { bestEpoch, ...progress } = readProgress(metadata.progress ?? '', name)
  const average = withPrefix(tensors, averagePrefix)
  const routersAtStart = withPrefix(tensors, routerPrefix)
  return {
    ...progress,
    weights: withPrefix(tensors, weightPrefix),
    slots: withPrefix(tensors, slotPrefix),
    ...(average.length > 0 && { average }),
    ...(bestEpoch !== undefined && {
      best: { epoch: bestEpoch, weights: withPrefix(tensors, bestPrefix) },
    }),
    ...(routersAtStart.length > 0 && { routersAtStart }),
  }
}

function readProgress(text: string, name: string): z.infer<typeof progressSchema> {
  try {
    return progressSchema.parse(JSON.parse(text))
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message
    throw new Error(`${name}: progress must be that of a training run, got: ${why}`, { cause })
  }
}

/** The tensors whose names begin with a prefix, named without it. */
function withPrefix(tensors: ReadonlyMap<string, StoredTensor>, prefix: string): [string, StoredTensor][] {
  return [...tensors]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, tensor]) => [name.slice(prefix.length), tensor])
}

/**
 * Copies the weights of a model to memory, exactly.
 *
 * @returns names and values in the order of `model.weights`
 */
export async function readWeights(model: tfl.LayersModel): Promise<TrainState['weights']> {
  const weights: [tfl.LayerVariable, StoredTensor][] = []
  for (const weight of model.weights) weights.push([weight, await storeTensor(weight.read())])
  return namedByOrder(weights)
}

/** Values of weights as a state holds them: named by their number and the weight. */
export function namedByOrder(
  weights: readonly (readonly [weight: tfl.LayerVariable, tensor: StoredTensor])[],
): TrainState['weights'] {
  return weights.map(([{ originalName }, tensor], index) => [
    `${String(index).padStart(4, '0')}/${originalName}`,
    tensor,
  ])
}

/**
 * Checks that the weights of a state belong to a model.
 *
 * Weights are matched by their order; the names of their layers may differ, since tfjs numbers those it names itself.
 *
 * @param where the caller, for errors
 * @throws RangeError when number, names or shapes differ
 */
export function checkWeights(model: tfl.LayersModel, weights: TrainState['weights'], where: string): void {
  if (weights.length !== model.weights.length) {
    throw new RangeError(
      `${where}: checkpoint must have the model's ${model.weights.length} weights, got ${weights.length}`,
    )
  }
  for (const [index, weight] of model.weights.entries()) {
    const [name, stored] = weights[index] as TrainState['weights'][number]
    const shape = weight.shape.join(', ')
    if (lastSegment(name) === lastSegment(weight.originalName) && stored.shape.join(', ') === shape) continue
    throw new RangeError(
      `${where}: checkpoint must have weight ${index} ${weight.originalName} [${shape}], ` +
        `got ${name.slice(name.indexOf('/') + 1)} [${stored.shape.join(', ')}]`,
    )
  }
}

/** Gives a model the weights of a state that `checkWeights` accepts, exactly. */
export function restoreWeights(model: tfl.LayersModel, weights: TrainState['weights']): void {
  for (const [index, weight] of model.weights.entries()) {
    const [, stored] = weights[index] as TrainState['weights'][number]
    const tensor = restoreTensor(stored)
    // Not weight.write(): it would apply the weight's constraint, which rounds.
    const variable = weight.read() as tf.Variable
    variable.assign(tensor)
    tensor.dispose()
  }
}

/** The settings that must be the same in a state and in the run that goes on from it. */
export type RunIdentity = Pick<
  TrainState,
  | 'optimizer'
  | 'seed'
  | 'batchSize'
  | 'examples'
  | 'epochs'
  | 'labelSmoothing'
  | 'classWeights'
  | 'emaDecay'
  | 'frozen'
  | 'configKey'
>

function lastSegment(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

/** A store that keeps checkpoints in memory. */
export function memoryStore(): CheckpointStore {
  const checkpoints = new Map<string, Uint8Array>()
  return {
    write: async (name, bytes) => {
      checkpoints.set(name, bytes.slice())
    },
    read: async name => checkpoints.get(name)?.slice(),
  }
}
