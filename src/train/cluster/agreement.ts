import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import crc32c from 'crc-32/crc32c.js'
import type { ImageStream } from '../../data/image-stream.js'
import type { RegionStream } from '../../data/regions/region-stream.js'
import { isStandardBatchNormalization } from '../../layers/batch-norm.js'
import { allPlacedLayers, type NetworkHolder } from '../../layers/layer-paths.js'
import type { FedModel, TrainingData } from '../feed.js'
import { networkOf } from '../feed.js'
import { followsStatistics } from '../moving-statistics.js'
import type { TrainOptions } from '../train-options.js'
import { type Cluster, gatheredTexts, workerName } from './cluster.js'

/** What must be the same on all workers: names, and values as texts. */
type Agreed = Readonly<Record<string, string>>

/** Bytes of a value that an error shows. */
const SHOWN = 160

/**
 * Checks that all workers have the same versions, options, network and data, and gives them the weights of the chief: networks whose
 * weights are drawn without a seed differ.
 *
 * Of images in memory all bytes and labels are compared, of others what is known before they are read: number, shape, classes, names.
 *
 * @throws RangeError naming the first thing that differs, the first worker that has it, and both values
 */
export async function agreeOnRun(
  cluster: Cluster,
  fed: FedModel,
  options: TrainOptions<TrainingData>,
): Promise<void> {
  const model = networkOf(fed)
  checkNormalizations(model, options)
  await checkAgreed(cluster, {
    ...prefixed('version of ', cluster.versions ?? {}),
    'kind of number': tf.getBackend(),
    ...agreedOptions(options),
    network: model.weights.map(({ originalName, shape }) => `${originalName} ${shape.join('x')}`).join(),
    ...(options.test && { 'test images': imagesText(options.test) }),
    ...(options.validation && { 'validation images': imagesText(options.validation) }),
    'training images': imagesText(options.train),
    'steps done': options.resume
      ? `${options.resume.history.length} epochs and ${options.resume.running.step} steps`
      : 'none',
  })
  shareWeights(cluster, model)
}

/** @throws RangeError where a layer cannot normalize a batch of several workers as a whole */
function checkNormalizations(
  model: tfl.LayersModel,
  { clusterBatchNorm = 'synchronised' }: Pick<TrainOptions, 'clusterBatchNorm'>,
): void {
  if (clusterBatchNorm === 'local') return
  const placed = allPlacedLayers(model)
  const standard = placed.find(({ layer }) => isStandardBatchNormalization(layer))
  if (standard) {
    throw new RangeError(
      `train: clusterBatchNorm must be local for a network with tfjs's own BatchNormalization, got ${clusterBatchNorm} ` +
        `(${standard.layer.name}; that of batchNormalization of patch-moe can be synchronised)`,
    )
  }
  const chosen = placed.find(
    ({ layer, holders }) => followsStatistics(layer) && holders.some(givesChosenSamples),
  )
  if (!chosen) return
  throw new RangeError(
    `train: clusterBatchNorm must be local where experts normalize the samples that chose them, got ${clusterBatchNorm} ` +
      `(${chosen.path}; experts with dispatch 'all' can be synchronised)`,
  )
}

/** Whether a layer gives its networks the samples that chose them: each worker another number of them, or none. */
function givesChosenSamples(holder: NetworkHolder): boolean {
  return 'dispatch' in holder && holder.dispatch === 'chosen'
}

/** @throws RangeError naming the first entry that a worker has otherwise than the chief */
export async function checkAgreed(cluster: Cluster, agreed: Agreed): Promise<void> {
  const hashes = Object.fromEntries(
    Object.entries(agreed).map(([name, text]) => [name, text.length > SHOWN ? hashOf(text) : text]),
  )
  const texts = await gatheredTexts(cluster, JSON.stringify(hashes))
  const [ofChief = {}, ...others] = texts.map(text => JSON.parse(text) as Agreed)
  for (const [i, ofWorker] of others.entries()) {
    const names = [...new Set([...Object.keys(ofChief), ...Object.keys(ofWorker)])]
    const name = names.find(each => ofChief[each] !== ofWorker[each])
    if (name === undefined) continue
    throw new RangeError(
      `train: workers must have the same ${name}, got ${ofWorker[name] ?? 'none'} on ${workerName(cluster, i + 1)} ` +
        `and ${ofChief[name] ?? 'none'} on ${workerName(cluster, 0)}`,
    )
  }
}

/** The options that are data, each by its name; entries of a configuration one by one. */
function agreedOptions(options: TrainOptions<TrainingData>): Agreed {
  const {
    train,
    test,
    validation,
    checkpoints,
    resume,
    features,
    signal,
    cluster,
    configKey,
    threads,
    ...data
  } = options
  return {
    ...prefixed('option ', textsOf(data)),
    ...prefixed('setting ', configEntries(configKey)),
  }
}

function configEntries(key: string | undefined): Agreed {
  if (key === undefined) return {}
  try {
    return flatTexts(JSON.parse(key))
  } catch {
    return { configuration: key }
  }
}

/** `{ training: { batchSize: 8 } }` as `training.batchSize` -> `8`. */
function flatTexts(value: unknown, path = ''): Agreed {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { [path]: JSON.stringify(value) }
  const entries = Object.entries(value).map(([key, inner]) =>
    flatTexts(inner, path === '' ? key : `${path}.${key}`),
  )
  return Object.assign({}, ...entries) as Agreed
}

function textsOf(data: object): Agreed {
  return flatTexts(JSON.parse(JSON.stringify(data)))
}

function prefixed(prefix: string, entries: Readonly<Record<string, string>>): Agreed {
  return Object.fromEntries(Object.entries(entries).map(([name, text]) => [prefix + name, text]))
}

function imagesText(data: TrainingData): string {
  const { count, shape, classNames } = data
  const hash = 'images' in data ? hashOf(data.labels, data.images) : hashOf(namesOf(data))
  return `${count} of ${shape.join('x')} in ${classNames.length} classes, hash ${hash}`
}

function namesOf({ classNames, names = [], ...data }: ImageStream | RegionStream): string {
  const labels = 'labels' in data && data.labels ? [...data.labels] : []
  return JSON.stringify([classNames, names, labels])
}

/** CRC-32C of texts and bytes, in hexadecimal digits. */
function hashOf(...parts: readonly (string | ArrayBufferView)[]): string {
  const hash = parts.reduce<number>(
    (sum, part) =>
      typeof part === 'string'
        ? crc32c.str(part, sum)
        : crc32c.buf(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), sum),
    0,
  )
  return (hash >>> 0).toString(16).padStart(8, '0')
}

/** Gives all workers the weights of the chief, exactly. */
function shareWeights(cluster: Cluster, model: tfl.LayersModel): void {
  tf.tidy(() => {
    for (const weight of model.weights) {
      const variable = weight.read() as tf.Variable
      if (variable.dtype !== 'float32' || variable.size === 0) continue
      const flat = tf.reshape<tf.Rank.R1>(variable, [variable.size])
      const own = cluster.index === 0 ? flat : tf.zerosLike(flat)
      variable.assign(tf.reshape(cluster.allReduce(own), variable.shape))
    }
  })
}
