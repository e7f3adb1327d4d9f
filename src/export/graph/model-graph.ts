import * as tfl from '@tensorflow/tfjs-layers'
import { isNetworkHolder } from '../../layers/layer-paths.js'
import { mostPatchesPerExpert } from '../../layers/moe/routing-layers.js'
import { type FeedingOptions, LAYOUTS, PATCHES_INPUT, PIXELS } from '../feeding.js'
import { nameInLayer } from '../weights/weights.js'
import {
  type Constant,
  type Dimension,
  type Graph,
  type GraphInput,
  type Layout,
  type RouteOutputs,
  UnsupportedModelError,
  type Value,
} from './graph.js'
import { GraphBuilder, number, type Route } from './graph-builder.js'
import { layerLowerings } from './layer-lowerings.js'
import type { ExportedLayer, Lowering } from './lowering.js'
import { mixtureLowerings } from './mixture-lowerings.js'
import { patchExpertsLowering } from './patch-experts-lowering.js'
import { sampleLowerings } from './sample-lowerings.js'
import { simplified } from './simplified.js'

const lowerings: Readonly<Record<string, Lowering>> = {
  ...layerLowerings,
  ...mixtureLowerings,
  ...sampleLowerings,
  ...patchExpertsLowering,
}

/** What a graph of a model takes and gives. */
export interface GraphOptions extends FeedingOptions {
  /** Whether what mixtures choose are outputs, too, after the model's own: `LAYER/indices`, `LAYER/gates`. */
  readonly routes?: boolean
  /** L of all layers that keep patches, in the place of their own. */
  readonly patchesPerExpert?: number | undefined
  /**
   * Whether every network of a `SampleExperts` answers for all samples, of which those that chose it are taken: more work, and no
   * shape that depends on numbers. False unless given.
   */
  readonly everyExpert?: boolean
}

/**
 * Writes a tfjs model as a graph of simple operations, for inference: BatchNorm folded into the convolution before it or
 * one factor and offset a channel, dropout left out, mixtures as the sparse operations that they are. Nested models
 * are entered, shared layers are written as often as they are used.
 *
 * @param model with inputs of fixed size but for the batch
 * @throws UnsupportedModelError naming the layer and its position when one cannot be exported, or a size that is not
 *   fixed; RangeError when an option has no such value
 */
export async function modelGraph(
  model: tfl.LayersModel,
  {
    layout = 'nhwc',
    pixels = 'float32',
    routes = false,
    variablePatches = false,
    patchesPerExpert,
    everyExpert = false,
  }: GraphOptions = {},
): Promise<Graph> {
  oneOf(LAYOUTS, layout, 'layout')
  oneOf(PIXELS, pixels, 'pixels')
  if (!model.outputs?.length) {
    throw new UnsupportedModelError(
      `exportGraph: model must have known shapes, got ${model.name} without outputs`,
    )
  }
  refuseUnknown(model, '')
  const most = variablePatches ? mostPatchesPerExpert(model, 'exportGraph: variablePatches') : 0
  const build = new GraphBuilder()
  const weights = await readWeights(model)
  const inputs = model.inputs.map((input, i) =>
    graphInput(build, input, model.inputNames[i] ?? '', layout, pixels),
  )
  const fed = inputs.map(input => feed(build, input))
  const names = new Set<string>(inputs.map(({ name }) => name))
  build.patchesPerExpert = patchesPerExpert
  build.everyExpert = everyExpert
  if (variablePatches) inputs.push(patchesInput(build, unused(PATCHES_INPUT, names), most))
  const values = new ModelWriter(build, weights).write(model, fed, '')
  const outputs = values.map((value, i) => ({ name: unused(model.outputNames[i] ?? 'output', names), value }))
  const chosen = routes ? build.routes.map(route => routeOutputs(route, names)) : []
  return simplified({
    name: model.name,
    inputs,
    outputs: [...outputs, ...chosen.flatMap(route => route.outputs)],
    nodes: build.nodes,
    ...(routes && { routes: chosen.map(({ route }) => route) }),
  })
}

/** Adds an input for L and has all mixtures read it: any other number than 1 to `most` is an error where the graph runs. */
function patchesInput(build: GraphBuilder, name: string, most: number): GraphInput {
  const value = build.input(name, [], 'int')
  build.layer = name
  // What lies past the table cannot be looked up. Negative places may count from its end: the smaller of both stays negative.
  const table = Int32Array.from({ length: most + 1 }, (_, count) => (count === 0 ? -1 : count))
  build.patchesPerExpert = build.binary('min', build.gather({ shape: [most + 1], data: table }, value), value)
  return { name, value, layout: 'nhwc' }
}

function routeOutputs({ layer, ...values }: Route, names: Set<string>) {
  const outputs = (['indices', 'gates', 'scores'] as const).flatMap(kind => {
    const value = values[kind]
    return value ? [{ kind, name: unused(`${layer}/${kind}`, names), value }] : []
  })
  const route = {
    layer,
    ...Object.fromEntries(outputs.map(({ kind, name }) => [kind, name])),
  } as RouteOutputs
  return { outputs: outputs.map(({ name, value }) => ({ name, value })), route }
}

function oneOf(allowed: readonly string[], value: string, name: string): void {
  if (allowed.includes(value)) return
  throw new RangeError(`exportGraph: ${name} must be ${allowed.join(' or ')}, got ${value}`)
}

/** Checks every layer before any work is done. */
function refuseUnknown(model: tfl.LayersModel, prefix: string): void {
  for (const layer of model.layers) {
    if (layer instanceof tfl.LayersModel) refuseUnknown(layer, `${prefix}${layer.name}/`)
    else if (isNetworkHolder(layer) && Object.hasOwn(lowerings, layer.getClassName())) {
      for (const [name, network] of layer.networks) refuseUnknown(network, `${prefix}${layer.name}/${name}/`)
    } else if (layer.getClassName() !== 'InputLayer' && !Object.hasOwn(lowerings, layer.getClassName())) {
      throw new UnsupportedModelError(
        `exportGraph: ${layerText(layer, model, prefix)} must be of a kind that can be exported, ` +
          `got ${layer.getClassName()} (these can: ${Object.keys(lowerings).sort().join(', ')})`,
      )
    }
  }
}

function layerText(layer: tfl.layers.Layer, model: tfl.LayersModel, prefix: string): string {
  const where = prefix === '' ? '' : ` of ${prefix.slice(0, -1)}`
  return `layer "${layer.name}" (${model.layers.indexOf(layer) + 1} of ${model.layers.length} layers${where})`
}

function graphInput(
  build: GraphBuilder,
  input: tfl.SymbolicTensor,
  name: string,
  layout: Layout,
  pixels: 'float32' | 'uint8',
): GraphInput {
  const [batch = null, ...sides] = input.shape
  if (sides.some(side => side === null)) {
    throw new UnsupportedModelError(
      `exportGraph: input ${name} must have a fixed size, got [${sides.map(side => side ?? 'any').join(', ')}]`,
    )
  }
  const isMap = sides.length === 3
  const [height = null, width = null, channels = null] = sides
  const shape = isMap && layout === 'nchw' ? [batch, channels, height, width] : [batch, ...sides]
  const type = isMap && pixels === 'uint8' ? 'uint8' : 'float'
  return { name, value: build.input(name, shape, type), layout: isMap ? layout : 'nhwc' }
}

/** Turns an input into what the first layer takes: floats, channels last. */
function feed(build: GraphBuilder, { name, value, layout }: GraphInput): Value {
  build.layer = `${name}_pixels`
  const floats = value.type === 'uint8' ? build.binary('div', build.toFloat(value), number(255)) : value
  return layout === 'nchw' ? build.transpose(floats, [0, 2, 3, 1]) : floats
}

function unused(name: string, taken: Set<string>): string {
  let unusedName = name
  for (let count = 1; taken.has(unusedName); count++) unusedName = `${name}_${count}`
  taken.add(unusedName)
  return unusedName
}

type WeightTable = ReadonlyMap<tfl.LayerVariable, Constant>

async function readWeights(model: tfl.LayersModel): Promise<WeightTable> {
  const entries = model.weights.map(async (weight): Promise<[tfl.LayerVariable, Constant]> => {
    const tensor = weight.read()
    return [weight, { shape: tensor.shape, data: Float32Array.from(await tensor.data()) }]
  })
  return new Map(await Promise.all(entries))
}

/** Follows a model from its outputs to its inputs, and writes each application of a layer once. */
class ModelWriter {
  private readonly build: GraphBuilder
  private readonly weights: WeightTable

  constructor(build: GraphBuilder, weights: WeightTable) {
    this.build = build
    this.weights = weights
  }

  write(model: tfl.LayersModel, inputs: readonly Value[], prefix: string): Value[] {
    const inputValues = new Map(model.inputs.map((input, i) => [input, inputs[i] as Value]))
    const applied = new Map<tfl.layers.Layer, Map<number, readonly Value[]>>()
    const visit = (tensor: tfl.SymbolicTensor): Value => {
      const inputValue = inputValues.get(tensor)
      if (inputValue) return inputValue
      const layer = tensor.sourceLayer
      const ofLayer = applied.get(layer) ?? new Map<number, readonly Value[]>()
      applied.set(layer, ofLayer)
      let outputs = ofLayer.get(tensor.nodeIndex)
      if (!outputs) {
        outputs = this.apply(model, layer, tensor, tensor.inputs.map(visit), prefix)
        ofLayer.set(tensor.nodeIndex, outputs)
      }
      return outputs[tensor.tensorIndex] ?? (outputs[0] as Value)
    }
    return model.outputs.map(visit)
  }

  private apply(
    model: tfl.LayersModel,
    layer: tfl.layers.Layer,
    output: tfl.SymbolicTensor,
    inputs: readonly Value[],
    prefix: string,
  ): readonly Value[] {
    const name = prefix + layer.name
    if (layer instanceof tfl.LayersModel) return this.write(layer, inputs, `${name}/`)
    this.build.layer = name
    const lower = lowerings[layer.getClassName()] as Lowering
    const exported = this.exported(layer, output.shape, name, layerText(layer, model, prefix))
    return [lower(exported, inputs, this.build)]
  }

  private exported(
    layer: tfl.layers.Layer,
    outputShape: readonly Dimension[],
    name: string,
    description: string,
  ): ExportedLayer {
    const ownWeights = new Map(layer.weights.map(weight => [nameInLayer(weight), this.weights.get(weight)]))
    const refuse = (got: string): never => {
      throw new UnsupportedModelError(
        `exportGraph: ${description} must be one that can be exported, got ${layer.getClassName()} with ${got}`,
      )
    }
    const optionalWeight = (name: string) => ownWeights.get(name)
    const weight = (name: string) => ownWeights.get(name) ?? refuse(`no weight ${name}`)
    const network = (inner: tfl.LayersModel, innerName: string, x: Value): Value => {
      const [output] = this.write(inner, [x], `${name}/${innerName}/`)
      this.build.layer = name
      return output as Value
    }
    return { layer, config: layer.getConfig(), outputShape, weight, optionalWeight, network, refuse }
  }
}
