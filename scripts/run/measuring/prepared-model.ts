import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import { useBackend } from '../../../src/backend/choose.js'
import type { ImageDecoding } from '../../../src/data/image-decoding.js'
import { ImageNotes } from '../../../src/data/image-notes.js'
import { exportOnnx } from '../../../src/export/onnx/onnx.js'
import { fileSystem } from '../../../src/files/model-files.js'
import { modelCost } from '../../../src/models/cost.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import type { ImageShape } from '../../../src/shapes.js'
import { decodeFiles, refuseUnreadable } from '../decoded-images.js'
import { decodingOf } from '../model-decoding.js'
import { buildNetwork, type NetworkOptions } from '../network.js'
import { openModel, refuseRouted } from '../opened-model.js'
import { onnxInputs, signatureInputs } from './foreign-inputs.js'
import type { FedInput, PreparationJob } from './latency-jobs.js'

/** What is measured of one network. */
export interface PreparedModel {
  /** Its path, as a person named it; its dense network is called `PATH, dense`. */
  readonly name: string
  /** The name of the mixture whose dense network it is. */
  readonly denseOf?: string
  /** A run or a saved tfjs model. */
  readonly tfjs?: string
  readonly onnx?: string
  readonly savedmodel?: string
  /** Why there is no ONNX file of it. */
  readonly notExported?: string
  readonly inputs: readonly FedInput[]
  /** Multiply-adds of one sample, where the layers are known. */
  readonly multiplyAdds?: number
  /** File of pixels that it is fed with. */
  readonly images?: string
}

/** What the preparation of a model yields: the model, its dense network where it has one, and sentences on both. */
export interface Preparation {
  readonly models: readonly PreparedModel[]
  readonly notes: readonly string[]
}

/**
 * Makes ready what is measured of a model.
 *
 * @throws Error when it cannot be read, or none of the images
 */
export async function prepareModel(job: PreparationJob): Promise<Preparation> {
  const { path } = job
  const kind = await kindOf(path)
  if (kind === 'onnx') return foreign(job, { onnx: path }, await onnxInputs(path))
  if (kind === 'savedmodel') return foreign(job, { savedmodel: path }, await signatureInputs(path))
  // Preparation is no measurement: wasm is there on every machine.
  await useBackend('wasm')
  const opened = await openModel(path)
  refuseRouted(opened, 'bench: network must take whole images, as an export to ONNX does')
  const { model, config } = opened
  const notes = new ImageNotes()
  const images = await imagesFile(job, () => decodingOf(opened), notes)
  const own = await preparedNetwork(path, model, join(job.folder, 'model.onnx'))
  const dense = config && denseNetwork(model, config)
  const models: PreparedModel[] = [{ ...own, tfjs: path, ...images }]
  if (dense) {
    const folder = join(job.folder, 'dense')
    await dense.save(fileSystem(folder))
    const twin = await preparedNetwork(`${path}, dense`, dense, join(job.folder, 'dense.onnx'))
    models.push({ ...twin, tfjs: folder, denseOf: path, ...images })
  }
  const isAlone = !dense && modelCost(model).layers.some(layer => layer.dense !== undefined)
  const alone = `${path}: a mixture without a dense network to compare it with; the run of a wide or two-layer one has it`
  return { models, notes: [...notes.lines, ...(isAlone ? [alone] : [])] }
}

/** Counts a network's work and writes it as ONNX, where it can be. */
export async function preparedNetwork(
  name: string,
  model: tfl.LayersModel,
  file: string,
): Promise<PreparedModel> {
  const { multiplyAdds, uncounted } = modelCost(model)
  const inputs = model.inputs.map(({ shape }) => ({ shape: shape.slice(1).map(side => side ?? 1) }))
  const work = uncounted.length === 0 ? { multiplyAdds: multiplyAdds.forward } : {}
  try {
    const { bytes } = await exportOnnx(model)
    await writeFile(file, bytes)
    return { name, inputs, ...work, onnx: file }
  } catch (error) {
    return { name, inputs, ...work, notExported: (error as Error).message }
  }
}

/**
 * The dense network of a mixture's configuration, with its initial weights: one that keeps every patch, or without
 * experts; undefined where the network is no mixture, or was put into another network.
 */
function denseNetwork(model: tfl.LayersModel, config: RunConfig): tfl.LayersModel | undefined {
  const options = denseOptions(config.model.options, model)
  if (!options) return undefined
  const shape = model.inputs[0]?.shape.slice(1) as unknown as ImageShape
  return buildNetwork(options, { shape, classNames: config.dataset.classNames }, config.seed)
}

function denseOptions(options: NetworkOptions, model: tfl.LayersModel): NetworkOptions | undefined {
  switch (options.kind) {
    case 'wide-resnet': {
      const { pmoe, variant: _, ...dense } = options
      return pmoe && dense
    }
    case 'two-layer': {
      if (options.numExperts === 1) return undefined
      const [, height, width] = (model.inputs[0] as tfl.SymbolicTensor).shape as [null, number, number]
      const [tall, wide] = [options.patchSize].flat()
      const patches = (height / (tall as number)) * (width / (wide ?? (tall as number)))
      return { ...options, numExperts: 1, patchesPerExpert: patches, gate: 'uniform' }
    }
    default:
      return undefined
  }
}

async function kindOf(path: string): Promise<'onnx' | 'savedmodel' | 'model'> {
  const [stats, savedModel] = await Promise.all(
    [path, join(path, 'saved_model.pb')].map(place => stat(place).catch(() => undefined)),
  )
  if (!stats) {
    throw new Error(`${path}: must be a run, a saved model, an ONNX file or a SavedModel, got nothing there`)
  }
  if (savedModel?.isFile()) return 'savedmodel'
  return stats.isFile() && path.toLowerCase().endsWith('.onnx') ? 'onnx' : 'model'
}

/** A model in a format of other programs. */
async function foreign(
  job: PreparationJob,
  file: Pick<PreparedModel, 'onnx' | 'savedmodel'>,
  inputs: readonly FedInput[],
): Promise<Preparation> {
  const notes = new ImageNotes()
  const decoding = () => {
    const [input] = inputs
    const channels = input?.shape[2] ?? 0
    if (inputs.length === 1 && input?.shape.length === 3 && [1, 3].includes(channels)) {
      return { shape: input.shape as unknown as ImageShape }
    }
    throw new Error(`${job.path}: the model must take images, got an input of [${input?.shape.join(', ')}]`)
  }
  const images = await imagesFile(job, decoding, notes)
  return { models: [{ name: job.path, ...file, inputs, ...images }], notes: notes.lines }
}

/** Pixels of the images that are named, as a file; nothing where none are. */
async function imagesFile(
  { images, folder }: PreparationJob,
  decoding: () => ImageDecoding,
  notes: ImageNotes,
): Promise<Pick<PreparedModel, 'images'>> {
  if (images.length === 0) return {}
  const unreadable: Parameters<typeof decodeFiles>[2] = []
  const decoded = await decodeFiles(images, decoding(), unreadable, notes)
  refuseUnreadable(unreadable, images.length)
  const file = join(folder, 'images.bin')
  await writeFile(file, Buffer.concat(decoded.map(({ pixels }) => pixels)))
  return { images: file }
}
