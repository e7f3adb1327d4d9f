import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { isNestedModel } from '../layers/layer-paths.js'
import { PatchGate } from '../layers/moe/patch-gate.js'
import { PatchMoE } from '../layers/moe/patch-moe.js'
import { SampleExperts } from '../layers/moe/sample-experts.js'
import { SampleMoE } from '../layers/moe/sample-moe.js'
import { TwoLayerExperts } from '../layers/moe/two-layer-experts.js'
import { channelRules, type LayerUse, type Treatment, type WeightCut } from './channel-rules.js'
import { type Channels, sameChannels } from './channels.js'
import type { Cut, Mixture } from './mixtures/mixture.js'
import { patchMoETreatment } from './mixtures/patch-moe.js'
import { sampleNetworksTreatment } from './mixtures/sample-networks.js'
import { sampleTreatment } from './mixtures/samples.js'
import { twoLayerTreatment } from './mixtures/two-layer.js'

/** A layer that changes. */
export interface ChangedLayer {
  readonly path: string
  readonly layer: tfl.layers.Layer
  readonly cuts: readonly WeightCut[]
  /** Settings that change. */
  readonly config: tf.serialization.ConfigDict
  /** What is left of its input, where the layer sums over the channels. */
  readonly reads?: Channels
}

/** A mixture and what becomes of its experts. */
export interface MixtureCut {
  readonly mixture: Mixture
  readonly cut: Cut
}

/**
 * Finds all layers that change when experts go: from each mixture's channels on, through every layer that hands them on, to
 * those that read them.
 *
 * @returns by path, in the order of computation
 * @throws RangeError naming the layer from which channels cannot be taken, with the operator that is possible
 */
export function layersThatChange(
  model: tfl.LayersModel,
  cuts: readonly MixtureCut[],
  where: string,
): ReadonlyMap<string, ChangedLayer> {
  const walk = new Walk(cuts, where)
  const outputs = walk.model(
    model,
    model.inputs.map(() => undefined),
    '',
  )
  for (const [i, channels] of outputs.entries()) {
    if (!channels) continue
    const name = model.outputs[i]?.sourceLayer.name
    walk.refuse(
      channels,
      `output ${i + 1} of the model (${name}), which must keep all ${channels.size} channels`,
    )
  }
  return walk.changed
}

class Walk {
  readonly changed = new Map<string, ChangedLayer>()
  private readonly treated = new Map<string, { inputs: readonly (Channels | undefined)[] }>()
  private readonly cuts: ReadonlyMap<tfl.layers.Layer, MixtureCut>
  private readonly where: string

  constructor(cuts: readonly MixtureCut[], where: string) {
    this.cuts = new Map(cuts.map(cut => [cut.mixture.layer, cut]))
    this.where = where
  }

  /** What is left of a model's outputs, given what is left of its inputs. */
  model(
    model: tfl.LayersModel,
    inputs: readonly (Channels | undefined)[],
    prefix: string,
  ): readonly (Channels | undefined)[] {
    const known = new Map(model.inputs.map((input, i) => [input.id, inputs[i]]))
    for (const [i, input] of model.inputs.entries()) this.enter(model, input, inputs[i], prefix)
    const visit = (tensor: tfl.SymbolicTensor): Channels | undefined => {
      if (known.has(tensor.id)) return known.get(tensor.id)
      const node = tensor.sourceLayer.inboundNodes[tensor.nodeIndex]
      const tensors = node?.inputTensors ?? []
      const outputs = this.call(tensor.sourceLayer, tensors, tensors.map(visit), tensor, prefix)
      for (const [i, output] of (node?.outputTensors ?? [tensor]).entries()) known.set(output.id, outputs[i])
      return known.get(tensor.id)
    }
    return model.outputs.map(visit)
  }

  refuse(channels: Channels, what: string): never {
    const { mixture } = [...this.cuts.values()].find(
      cut => cut.mixture.path === channels.source,
    ) as MixtureCut
    const others = mixture.operators.filter(operator => operator !== 'remove')
    const possible =
      others.length > 0
        ? `operator ${others.map(operator => `'${operator}'`).join(' or ')} is possible, which keeps them`
        : 'no other operator is possible for experts that are branches of layers'
    throw new RangeError(
      `${this.where}: channels of ${channels.source} must be removable from every layer that gets them, got ${what}; ` +
        possible,
    )
  }

  /** An input layer states the shape of what a model within a model is given. */
  private enter(
    model: tfl.LayersModel,
    input: tfl.SymbolicTensor,
    channels: Channels | undefined,
    prefix: string,
  ): void {
    const layer = input.sourceLayer
    if (!channels || !model.layers.includes(layer)) return
    const path = prefix + layer.name
    this.checkSameUse(path, layer, [channels])
    this.changed.set(path, { path, layer, cuts: [], config: withInputShape(layer.getConfig(), channels) })
  }

  private call(
    layer: tfl.layers.Layer,
    tensors: readonly tfl.SymbolicTensor[],
    inputs: readonly (Channels | undefined)[],
    output: tfl.SymbolicTensor,
    prefix: string,
  ): readonly (Channels | undefined)[] {
    const path = prefix + layer.name
    if (isNestedModel(layer)) {
      this.checkSameUse(path, layer, inputs)
      return this.model(layer, inputs, `${path}/`)
    }
    const cut = this.cuts.get(layer)
    this.checkSameUse(path, layer, inputs)
    if (!cut && inputs.every(input => input === undefined)) return [undefined]
    const config = layer.getConfig()
    const use = {
      layer,
      config,
      inputs,
      inputShapes: tensors.map(({ shape }) => shape),
      outputShape: output.shape,
    }
    const treatment = cut ? cut.mixture.treat(use, cut.cut) : treated(use)
    const channels = inputs.find(input => input !== undefined)
    if (typeof treatment === 'string') {
      const source = channels ?? { size: 0, kept: [], source: path }
      this.refuse(source, `layer ${path} (${layer.getClassName()}): ${treatment}`)
    }
    this.note(path, layer, treatment, inputs[0], config)
    return [treatment.output]
  }

  private note(
    path: string,
    layer: tfl.layers.Layer,
    { cuts = [], config: settings, reads }: Treatment,
    channels: Channels | undefined,
    config: tf.serialization.ConfigDict,
  ): void {
    const changes = { ...settings, ...(channels && withInputShape(config, channels)) }
    if (cuts.length === 0 && Object.keys(changes).length === 0) return
    this.changed.set(path, {
      path,
      layer,
      cuts,
      config: changes,
      ...(reads && channels && { reads: channels }),
    })
  }

  /** A layer that is used at several places has one set of weights, and must lose the same channels at each. */
  private checkSameUse(
    path: string,
    layer: tfl.layers.Layer,
    inputs: readonly (Channels | undefined)[],
  ): void {
    const before = this.treated.get(path)
    this.treated.set(path, { inputs })
    if (!before || before.inputs.every((channels, i) => sameChannels(channels, inputs[i]))) return
    const channels = [...inputs, ...before.inputs].find(input => input !== undefined) as Channels
    this.refuse(
      channels,
      `layer ${path} (${layer.getClassName()}): it is shared by maps that keep other channels`,
    )
  }
}

/** A layer may state the shape of its input. */
function withInputShape(
  { batchInputShape }: tf.serialization.ConfigDict,
  channels: Channels,
): tf.serialization.ConfigDict {
  if (!Array.isArray(batchInputShape) || batchInputShape.at(-1) !== channels.size) return {}
  return { batchInputShape: [...batchInputShape.slice(0, -1), channels.kept.length] as number[] }
}

function treated(use: LayerUse): Treatment | string {
  const { layer } = use
  if (layer instanceof PatchMoE) return patchMoETreatment(use)
  if (layer instanceof TwoLayerExperts) return twoLayerTreatment(use)
  if (layer instanceof SampleMoE) return sampleTreatment(use)
  if (layer instanceof SampleExperts) return sampleNetworksTreatment(use)
  if (layer instanceof PatchGate) return patchGateTreatment(use)
  const className = layer.getClassName()
  const rule = Object.hasOwn(channelRules, className) ? channelRules[className] : undefined
  return rule ? rule(use) : 'what it does with its channels is not known'
}

/** The gate scores all channels, and hands them on. */
function patchGateTreatment({ inputs }: LayerUse): Treatment {
  const channels = inputs[0] as Channels
  return {
    cuts: [{ weight: 'router', axis: 2, kept: channels.kept, summed: true }],
    output: channels,
    reads: true,
  }
}
