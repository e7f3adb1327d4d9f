import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames } from '../../known-options.js'
import { checkSize, countKinds, type ExportedBytes } from '../exported-bytes.js'
import { type FeedingOptions, feedingOptionNames } from '../feeding.js'
import type { Constant, Graph, Value } from '../graph/graph.js'
import { type HalfPlan, halfPlan } from '../graph/half-plan.js'
import { modelGraph } from '../graph/model-graph.js'
import { factNames, type ModelFacts, metadataOf } from '../metadata.js'
import { encodeMessage } from '../protobuf-messages.js'
import { shapeMessage, tensorflowMessages, tensorflowType } from './messages.js'
import { writeTensorFlow } from './operations.js'
import { TensorFlowWriter } from './writer.js'

/** How a model is written for TensorFlow. */
export interface SavedModelOptions extends FeedingOptions, ModelFacts {
  /** Kernels but those of routers are stored as float16 and widened when the model is loaded, for half the bytes. */
  readonly quantize?: 'float16'
}

/** A SavedModel: its graph, and what it says of itself. */
export interface ExportedSavedModel extends ExportedBytes {
  /** The texts of `metadataOf`; a SavedModel cannot hold them, so they belong into a file beside it. */
  readonly metadata: Readonly<Record<string, string>>
  /** With `quantize`: the layers that stay in float32, and why. */
  readonly inFloat?: HalfPlan['float']
}

/** The version of TensorFlow's graphs since which these operations have not changed: that of TensorFlow 2.3. */
const GRAPH_VERSION = 440

/**
 * Writes a model as the file `saved_model.pb` of a TensorFlow SavedModel: the whole network for inference, weights as
 * constants, one signature `serving_default` with the model's names, the batch of any length, mixtures sparse as they
 * are (TopKV2, GatherV2, ScatterNd).
 *
 * @returns the bytes of the file, its operations without constants, and its metadata
 * @throws Error naming the layer and its position when one cannot be exported; RangeError when a size is not fixed, an
 *   option has no such value, or the file would exceed 2 GiB
 */
export async function exportSavedModel(
  model: tfl.LayersModel,
  options: SavedModelOptions = {},
): Promise<ExportedSavedModel> {
  checkOptionNames('exportSavedModel', options, { ...feedingOptionNames, ...factNames, quantize: true })
  const { quantize, ...feeding } = options
  if (quantize !== undefined && quantize !== 'float16') {
    throw new RangeError(`exportSavedModel: quantize must be float16, got ${typeof quantize}`)
  }
  checkSize('exportSavedModel', model)
  const graph = await modelGraph(model, feeding)
  const half = quantize && halfPlan(graph)
  const written = await savedModelOfGraph(graph, half?.kernels)
  return { ...written, metadata: metadataOf(graph, options), ...(half && { inFloat: half.float }) }
}

/**
 * Writes a graph as the file `saved_model.pb`.
 *
 * @param halves the constants that are stored as float16; none unless given
 */
export async function savedModelOfGraph(
  graph: Graph,
  halves?: ReadonlySet<Constant['data']>,
): Promise<ExportedBytes> {
  const writer = new TensorFlowWriter(halves)
  const message = savedModel(graph, writer)
  const bytes = await encodeMessage(tensorflowMessages, 'SavedModel', message)
  const computed = writer.nodes.map(({ op }) => op).filter(op => op !== 'Const' && op !== 'Placeholder')
  return { bytes, operations: countKinds(computed) }
}

function savedModel(graph: Graph, writer: TensorFlowWriter): object {
  const inputs = graph.inputs.map(({ name, value }) => {
    const node = writer.emit('Placeholder', [], `serving_default_${name}`, {
      dtype: { type: tensorflowType[value.type] },
      shape: { shape: shapeMessage(value.shape) },
    })
    writer.define(value, node)
    return [name, tensorInfo(node, value)] as const
  })
  for (const { operation, outputs } of graph.nodes) writeTensorFlow(operation, outputs, writer)
  const outputs = graph.outputs.map(({ name, value }) => {
    const type = { T: { type: tensorflowType[value.type] } }
    const node = writer.emit('Identity', [writer.named(value)], `${name}_output`, type)
    return [name, tensorInfo(node, value)] as const
  })
  const signature = {
    inputs: Object.fromEntries(inputs),
    outputs: Object.fromEntries(outputs),
    methodName: 'tensorflow/serving/predict',
  }
  return {
    savedModelSchemaVersion: 1,
    metaGraphs: [
      {
        metaInfoDef: { tags: ['serve'], tensorflowVersion: '2.3.0' },
        graphDef: { node: writer.nodes, versions: { producer: GRAPH_VERSION } },
        signatureDef: { serving_default: signature },
      },
    ],
  }
}

function tensorInfo(node: string, { shape, type }: Value): object {
  return { name: `${node}:0`, dtype: tensorflowType[type], tensorShape: shapeMessage(shape) }
}
