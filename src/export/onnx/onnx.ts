import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames } from '../../known-options.js'
import { checkSize, countKinds, type ExportedBytes } from '../exported-bytes.js'
import { type FeedingOptions, feedingOptionNames } from '../feeding.js'
import type { Dimension, Graph, Value } from '../graph/graph.js'
import { halfPlan } from '../graph/half-plan.js'
import { modelGraph } from '../graph/model-graph.js'
import { factNames, type ModelFacts, metadataOf } from '../metadata.js'
import { encodeMessage } from '../protobuf-messages.js'
import { onnxMessages, onnxType } from './messages.js'
import { writeOnnx } from './operations.js'
import { quantizationPlan, type Ranges } from './quantization.js'
import { OnnxWriter } from './writer.js'

/** How a model is written for ONNX. */
export interface OnnxOptions extends FeedingOptions, ModelFacts {
  /**
   * Ranges from `calibrate`, measured with the same `variablePatches`: convolutions, dense layers and experts then compute with numbers of 8 bits (QuantizeLinear
   * and DequantizeLinear, weights with a scale for each output channel). Or `float16`: kernels are stored as float16 and
   * widened when the file is loaded, for half the bytes. Routers stay in float32, so that choices stay.
   */
  readonly quantize?: Ranges | 'float16'
}

const ownNames = { quantize: true } as const

/** An ONNX file. */
export interface ExportedOnnx extends ExportedBytes {
  /** With `quantize`: the layers that stay in float32, and why. */
  readonly inFloat?: readonly { readonly layer: string; readonly why: string }[]
}

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
export async function exportOnnx(model: tfl.LayersModel, options: OnnxOptions = {}): Promise<ExportedOnnx> {
  checkOptionNames('exportOnnx', options, { ...feedingOptionNames, ...factNames, ...ownNames })
  checkSize('exportOnnx', model)
  const { quantize, ...feeding } = options
  const graph = await modelGraph(model, feeding)
  const half = quantize === 'float16' ? halfPlan(graph) : undefined
  const quantization =
    quantize && quantize !== 'float16' ? { plan: quantizationPlan(graph), ranges: quantize } : undefined
  const writer = new OnnxWriter(quantization, half?.kernels)
  const message = onnxModel(graph, metadataOf(graph, options), writer)
  const inFloat = half?.float ?? quantization?.plan.float
  const bytes = await encodeMessage(onnxMessages, 'ModelProto', message)
  return {
    bytes,
    operations: countKinds(message.graph.node.map(({ opType }) => opType)),
    ...(inFloat && { inFloat }),
  }
}

function onnxModel(graph: Graph, metadata: Readonly<Record<string, string>>, writer: OnnxWriter) {
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
