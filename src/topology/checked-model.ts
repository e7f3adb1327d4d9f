import * as tf from '@tensorflow/tfjs-core'
import { shown } from './json-value.js'
import { kerasTopology, type LayerTopology } from './keras-topology.js'
import { kerasWeightName } from './keras-weight-names.js'
import { checkedLayerGraph } from './layer-graph.js'
import { checkDepth, checkWeightNames, refuseGraphModel, weightBytes } from './model-json.js'

/**
 * Loads a model of unknown origin and checks it before tfjs-layers builds it, in a page as well as in Node:
 * `tfl.loadLayersModel(checkedModel(tf.io.http('model.json')))`. Models of Keras 2 and 3 come in the form of
 * tfjs-layers.
 *
 * @param handler loads the model, such as `tf.io.http`, `tf.io.browserFiles`
 * @param where its name, for errors
 * @returns a handler that loads and does not save
 * @throws Error from `load` where the model is a graph model, a layer is unknown or not connected, or the weights have
 *   more or fewer bytes than their list says
 */
export function checkedModel(handler: tf.io.IOHandler, where = 'checkedModel'): tf.io.IOHandler {
  return {
    load: async () => {
      if (!handler.load) throw new TypeError(`${where}: handler must load models, got one without load`)
      return checkedArtifacts(await handler.load(), where)
    },
  }
}

/**
 * The parts of a loaded model, checked like `checkedModel`.
 *
 * @throws Error as `load` of `checkedModel`
 */
export function checkedArtifacts(artifacts: tf.io.ModelArtifacts, where: string): tf.io.ModelArtifacts {
  refuseGraphModel(artifacts, where)
  checkDepth(artifacts.modelTopology, where)
  const specs = artifacts.weightSpecs ?? []
  checkBytes(artifacts, where)
  const topology = layersTopology(artifacts.modelTopology, specs, where)
  if (artifacts.weightSpecs === undefined) return { ...artifacts, modelTopology: topology }
  const rename = kerasWeightName(topology)
  const weightSpecs = specs.map(spec => ({ ...spec, name: spec.group ? spec.name : rename(spec.name) }))
  checkWeightNames(weightSpecs, where)
  return { ...artifacts, modelTopology: topology, weightSpecs }
}

/** The configuration in tfjs-layers' form, checked, and without the `model_config` around it if there was one. */
function layersTopology(
  modelTopology: tf.io.ModelArtifacts['modelTopology'],
  specs: readonly tf.io.WeightsManifestEntry[],
  where: string,
): LayerTopology {
  const config = (modelTopology ?? {}) as Record<string, unknown>
  const topology = kerasTopology(config.model_config ?? config, where)
  const numbers = specs.reduce(
    (sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1),
    0,
  )
  const { classNameMap } = tf.serialization.SerializationMap.getMap()
  const isRegistered = (name: string): boolean => Object.hasOwn(classNameMap, name)
  const weightNumbers = specs.length > 0 ? numbers : undefined
  return checkedLayerGraph(topology, { isRegistered, weightNumbers }, where)
}

function checkBytes({ weightSpecs, weightData }: tf.io.ModelArtifacts, where: string): void {
  if (weightData === undefined) return
  const expected = weightBytes(weightSpecs ?? [])
  const got = [weightData].flat().reduce((sum, { byteLength }) => sum + byteLength, 0)
  if (expected === undefined || expected === got) return
  throw new Error(`${where}: weights must hold ${expected} bytes, got ${shown(got)}`)
}
