import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import * as z from 'zod'
import { CROPS, cropping } from '../../../src/data/photo-decoding.js'
import { checkedArtifacts } from '../../../src/topology/checked-model.js'
import { parseModelJson } from '../../../src/topology/model-json.js'

/** A network that a visitor dropped. */
export interface DroppedModel {
  readonly model: tfl.LayersModel
  readonly name: string
  /** Where it was, as far as a page is told. */
  readonly source: string
  readonly classNames: readonly string[]
  /** Side of the square that is cut out of the middle of images; absent where the whole image is taken. */
  readonly cropSide?: number
}

/** What of a run's configuration a page uses. */
const runConfig = z.looseObject({
  dataset: z.looseObject({
    classNames: z.array(z.string()).optional(),
    crop: z.enum(CROPS as [(typeof CROPS)[number]]).optional(),
  }),
  model: z.looseObject({ name: z.string() }),
})

/** The path of a file, as far as a page is told. */
export function pathOf(file: File): string {
  return file.webkitRelativePath || file.name
}

/**
 * Loads a network from dropped files on the current backend: a saved tfjs model, or the folder of a run.
 *
 * @throws Error when there is no model among them, a file of its weights is missing, or it or the
 *   configuration of its run is damaged
 */
export async function droppedModel(files: readonly File[]): Promise<DroppedModel> {
  const file = modelFile(files)
  const source = pathOf(file)
  const folder = source.slice(0, -'model.json'.length)
  const config = await configOf(files, folder)
  const text = await file.text()
  const { modelTopology, weightsManifest = [], ...rest } = parseModelJson(text, source)
  const parts: ArrayBuffer[] = []
  for (const path of weightsManifest.flatMap(({ paths }) => paths)) {
    parts.push(await weightsFile(files, folder, path).arrayBuffer())
  }
  const { userDefinedMetadata } = rest as { userDefinedMetadata?: Record<string, unknown> }
  const artifacts = checkedArtifacts(
    {
      modelTopology: modelTopology as object,
      weightSpecs: weightsManifest.flatMap(({ weights }) => weights) as tf.io.WeightsManifestEntry[],
      weightData: tf.io.concatenateArrayBuffers(parts),
      ...(userDefinedMetadata && { userDefinedMetadata }),
    } as tf.io.ModelArtifacts,
    source,
  )
  const model = await tfl.loadLayersModel(tf.io.fromMemory(artifacts))
  const { crop = 'none', classNames = namesIn(userDefinedMetadata) } = config?.dataset ?? {}
  return { model, source, classNames, name: config?.model.name ?? model.name, ...cropping(crop) }
}

/** The `model.json` that is meant: that of a run's trained model, or the one that lies highest. */
function modelFile(files: readonly File[]): File {
  const found = files.filter(file => /(^|\/)model\.json$/.test(pathOf(file)))
  const depth = (file: File) => pathOf(file).split('/').length
  found.sort((a, b) => depth(a) - depth(b))
  const file = found.find(candidate => /(^|\/)model\/model\.json$/.test(pathOf(candidate))) ?? found[0]
  if (file) return file
  const names = files.slice(0, 5).map(({ name }) => name)
  const more = files.length > names.length ? `, and ${files.length - names.length} more` : ''
  throw new Error(
    `explore: network must come with its model.json, got ${names.join(', ') || 'no files'}${more} ` +
      '(pmoe export --format tfjs writes one of every network)',
  )
}

function weightsFile(files: readonly File[], folder: string, path: string): File {
  const file =
    files.find(candidate => pathOf(candidate) === folder + path) ??
    files.find(candidate => candidate.webkitRelativePath === '' && candidate.name === path.split('/').at(-1))
  if (file) return file
  throw new Error(`${folder}model.json: weights must come with it, got no file ${path}`)
}

/** The configuration of the run that a model lies in, where there is one. */
async function configOf(files: readonly File[], folder: string) {
  const run = folder.replace(/model\/$/, '')
  const file = files.find(candidate => pathOf(candidate) === `${run}config.json`)
  if (!file) return undefined
  const text = await file.text()
  const parsed = runConfig.safeParse(jsonIn(text))
  if (parsed.success) return parsed.data
  throw new Error(
    `${pathOf(file)}: file must be the configuration of a run, got ${z.prettifyError(parsed.error)}`,
  )
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function namesIn(metadata: Readonly<Record<string, unknown>> | undefined): readonly string[] {
  const names = metadata?.classNames
  return Array.isArray(names) && names.every(name => typeof name === 'string') ? names : []
}
