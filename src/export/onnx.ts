import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames } from '../known-options.js'
import { checkSize, countKinds, type ExportedBytes } from './exported-bytes.js'
import { type FeedingOptions, feedingOptionNames } from './feeding.js'
import type { Dimension, Graph, Value } from './graph.js'
import { factNames, type ModelFacts, metadataOf } from './metadata.js'
import { modelGraph } from './model-graph.js'
import { onnxMessages, onnxType } from './onnx-messages.js'
import { writeOnnx } from './onnx-operations.js'
import { OnnxWriter } from './onnx-writer.js'
import { encodeMessage } from './protobuf-messages.js'

/** How a model is written for ONNX. */
export interface OnnxOptions extends FeedingOptions, ModelFacts {}

/** The version of ONNX's operators that files ask for, and of the format that goes with it. */
const OPSET = 17
const IR_VERSION = 8

/**
 * Writes a model as an ONNX file (opset 17): the whole network for inference, the batch of any length, mixtures sparse
 * as they are (TopK, Gather, ScatterND), BatchNorm folded. Inputs and outputs have the model's names; classes and what
 * pixels mean are in the file's metadata.
 *
 * @returns the bytes of the file and its operations
 * @throws Error naming the layer and its position when one cannot be exported; RangeError when a size is not fixed, an
 *   option has no such value, or the file would exceed 2 GiB
 */
export async function exportOnnx(model: tfl.LayersModel, options: OnnxOptions = {}): Promise<ExportedBytes> {
  checkOptionNames('exportOnnx', options, { ...feedingOptionNames, ...factNames })
  checkSize('exportOnnx', model)
  const graph = await modelGraph(model, options)
  const message = onnxModel(graph, metadataOf(graph, options))
  const bytes = await encodeMessage(onnxMessages, 'ModelProto', message)
  return { bytes, operations: countKinds(message.graph.node.map(({ opType }) => opType)) }
}

function onnxModel(graph: Graph, metadata: Readonly<Record<string, string>>) {
  const writer = new OnnxWriter()
  for (const { name } of graph.outputs) writer.reserve(name)
  for (const { name, value } of graph.inputs) writer.define(value, writer.reserve(name))
  for (const { operation, outputs } of graph.nodes) writeOnnx(operation, outputs, writer)
  const output = graph.outputs.map(({ name, value }) => {
    const input = [writer.named(value)]
    writer.nodes.push({ name: `${name}_output`, opType: 'Identity', input, output: [name], attribute: [] })
    return valueInfo(name, value)
  })
  return {
    irVersion: IR_VERSION,
    producerName: 'patch-moe',
    opsetImport: [{ domain: '', version: OPSET }],
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name,
      node: writer.nodes,
      initializer: writer.initializers,
      input: graph.inputs.map(({ name, value }) => valueInfo(name, value)),
      output,
    },
  }
}

function valueInfo(name: string, { shape, type }: Value): object {
  const dim = shape.map(dimension)
  return { name, type: { tensorType: { elemType: onnxType[type], shape: { dim } } } }
}

function dimension(side: Dimension): object {
  return side === null ? { dimParam: 'batch' } : { dimValue: side }
}
