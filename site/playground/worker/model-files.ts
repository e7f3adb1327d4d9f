/** A network as the files `model.json` and `weights.bin`, which every loader of tfjs reads, and back. */
import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { ImageShape } from '../../../src/shapes.js'
import { checkedModel } from '../../../src/topology/checked-model.js'
import { parseModelJson } from '../../../src/topology/model-json.js'
import { addressOf, settingOf } from '../address.js'
import type { ModelFile } from '../protocol.js'
import type { Setting } from '../setting.js'
import { layersModel, type Network, networkFrom } from './networks.js'

const MODEL = 'model.json'
const WEIGHTS = 'weights.bin'

/** What the playground adds to a saved network. */
interface Metadata {
  /** As in the address of the page. */
  readonly playground: string
  readonly classNames: readonly string[]
}

/** The files of a network; they tell its setting and classes as well. */
export async function savedFiles(
  network: Network,
  setting: Setting,
  classNames: readonly string[],
): Promise<readonly ModelFile[]> {
  const files: ModelFile[] = []
  const collect = async (artifacts: tf.io.ModelArtifacts): Promise<tf.io.SaveResult> => {
    const { weightSpecs: weights = [], weightData = new ArrayBuffer(0), ...described } = artifacts
    const userDefinedMetadata: Metadata = { playground: addressOf(setting), classNames }
    const model = { ...described, userDefinedMetadata, weightsManifest: [{ paths: [WEIGHTS], weights }] }
    files.push({ name: MODEL, bytes: bytesOf(JSON.stringify(model)) })
    files.push({ name: WEIGHTS, bytes: new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData)) })
    return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) }
  }
  await layersModel(network).save(tf.io.withSaveHandler(collect))
  return files
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(text)
  return new Uint8Array(bytes)
}

/** A saved network's description. */
interface Described {
  readonly json: ReturnType<typeof parseModelJson> & {
    readonly userDefinedMetadata?: Partial<Metadata> | null
  }
  readonly file: ModelFile
}

/** Finds `model.json`: a file of that name, or the only `.json` file. */
function described(files: readonly ModelFile[]): Described {
  const named = files.find(({ name }) => name === MODEL)
  const others = files.filter(({ name }) => name.endsWith('.json'))
  const file = named ?? (others.length === 1 ? others[0] : undefined)
  if (!file)
    throw new Error(`Load: files must include ${MODEL}, got ${listed(files.map(({ name }) => name))}`)
  return { json: parseModelJson(new TextDecoder().decode(file.bytes), `Load: ${file.name}`), file }
}

/**
 * The setting under which a network was saved by a playground; undefined where it was saved by something else.
 *
 * @throws Error where `model.json` is missing, or no description of a network
 */
export function savedSetting(files: readonly ModelFile[]): Setting | undefined {
  const address = described(files).json.userDefinedMetadata?.playground
  return typeof address === 'string' ? settingOf(address).setting : undefined
}

/**
 * Builds a network from its files.
 *
 * @param images whose shape and number of classes it must have
 * @throws Error naming a file that is missing or damaged; RangeError where the network is for other images
 */
export async function loadNetwork(
  files: readonly ModelFile[],
  images: { readonly shape: ImageShape; readonly classNames: readonly string[] },
): Promise<Network> {
  const { json, file } = described(files)
  const weightData = joined(
    (json.weightsManifest ?? []).flatMap(({ paths }) => paths).map(path => fileOf(path, files, file.name)),
  )
  const weightSpecs = (json.weightsManifest ?? []).flatMap(({ weights }) => weights)
  const artifacts = { ...json, weightSpecs, weightData } as unknown as tf.io.ModelArtifacts
  const model = await tfl.loadLayersModel(checkedModel({ load: async () => artifacts }, `Load: ${file.name}`))
  return checkedNetwork(model, images)
}

function checkedNetwork(
  model: tfl.LayersModel,
  { shape, classNames }: { readonly shape: ImageShape; readonly classNames: readonly string[] },
): Network {
  const outputs = model.outputs[0]?.shape.at(-1) ?? 0
  const classes = outputs === 1 ? 2 : outputs
  const network = networkFrom(model, shape)
  const own = network === model ? (model.inputs[0]?.shape ?? []).slice(1) : shape
  if (own.join() === shape.join() && classes === classNames.length) return network
  model.dispose()
  throw new RangeError(
    `Load: network must take images of ${shape.join('x')} and tell ${classNames.length} classes apart, as this task does, ` +
      `got one for ${own.join('x')} and ${classes}`,
  )
}

function fileOf(path: string, files: readonly ModelFile[], model: string): ModelFile {
  const name = path.replace(/^.*\//, '')
  const file = files.find(candidate => candidate.name === name)
  if (file) return file
  const names = listed(files.map(candidate => candidate.name))
  throw new Error(`Load: files must include ${name}, which ${model} names, got ${names}`)
}

function joined(files: readonly ModelFile[]): ArrayBuffer {
  const all = new Uint8Array(files.reduce((sum, { bytes }) => sum + bytes.length, 0))
  let offset = 0
  for (const { bytes } of files) {
    all.set(bytes, offset)
    offset += bytes.length
  }
  return all.buffer
}

function listed(names: readonly string[]): string {
  const first = names.slice(0, 5).join(', ')
  if (names.length === 0) return 'none'
  return names.length > 5 ? `${first} and ${names.length - 5} more` : first
}
