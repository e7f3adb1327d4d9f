import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'

/** How the package hands out a model: its `model.json` and its weight files as base64. */
interface PublishedModel {
  readonly modelJson: () => Promise<{ default: tf.io.ModelJSON }>
  readonly weightBundles: readonly (() => Promise<{ default: string }>)[]
}

/**
 * Loads a trained network out of the npm package `nsfwjs`: MobileNetV2 or InceptionV3, converted from Keras.
 *
 * @param folder of the unpacked package
 * @param name of one of its modules: `mobilenet_v2`
 * @returns on the current backend; the caller disposes it
 * @throws Error naming the file when the package has no such network
 */
export async function publishedNetwork(folder: string, name: string): Promise<tfl.LayersModel> {
  const path = join(folder, 'dist', 'esm', 'models', `${name}.js`)
  if (!existsSync(path))
    throw new Error(`${folder}: must be the folder of the package nsfwjs, got no ${path}`)
  const [model] = Object.values((await import(pathToFileURL(path).href)) as Record<string, PublishedModel>)
  if (!model) throw new Error(`${path}: must export a model, got nothing`)
  const [{ default: json }, ...bundles] = await Promise.all([
    model.modelJson(),
    ...model.weightBundles.map(bundle => bundle()),
  ])
  const bytes = Buffer.concat(
    bundles.map(bundle => Buffer.from((bundle as { default: string }).default, 'base64')),
  )
  const weightSpecs = json.weightsManifest.flatMap(({ weights }) => weights)
  return tfl.loadLayersModel({
    load: async () => ({
      modelTopology: json.modelTopology,
      weightSpecs,
      weightData: new Uint8Array(bytes).buffer,
    }),
  })
}
