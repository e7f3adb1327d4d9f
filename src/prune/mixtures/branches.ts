import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { isNestedModel } from '../../layers/layer-paths.js'
import { gateFactor } from '../../layers/moe/gates.js'
import { PatchGate } from '../../layers/moe/patch-gate.js'
import { patchGrid } from '../../layers/moe/patches.js'
import { routerScores } from '../../layers/moe/routing.js'
import { channelRules, type LayerUse, ownName, type Treatment } from '../channel-rules.js'
import { othersThan } from '../channels.js'
import { receivedPatches } from './choosers-of-patches.js'
import { squaresOfBlocks } from './expert-cuts.js'
import type { Cut, Mixture, Observation, RecordedCall } from './mixture.js'

/** One expert as a branch of layers, from its gate to the layer that is joined with the others. */
interface Branch {
  readonly gate: PatchGate
  /** From the gate to the last. */
  readonly layers: readonly tfl.layers.Layer[]
}

/**
 * Experts as branches of layers that begin with a `PatchGate` each and are joined by a Concatenate, as in variant 'authors'.
 *
 * @param prefix of the paths of the model that holds them: `backbone/`
 * @returns undefined where the layer joins something else
 */
export function branchMixture(layer: tfl.layers.Layer, prefix: string): Mixture | undefined {
  const branches = branchesOf(layer)
  const [first] = branches ?? []
  if (!branches || !first) return undefined
  const path = prefix + layer.name
  const last = (branch: Branch) => branch.layers.at(-1) as tfl.layers.Layer
  const numExperts = branches.length
  const expertNames = namesOf(branches)
  const { gate } = first
  return {
    path,
    layer,
    numExperts,
    expertNames,
    choice: 'of patches',
    gate: gate.gate,
    patches: { kept: gate.patchesPerExpert, all: gridOf(gate).count },
    ownsChannels: true,
    operators: ['remove'],
    routers: branches.map(branch => ({ path: prefix + branch.gate.name, layer: branch.gate })),
    recorded: branches.flatMap(branch => [branch.gate, last(branch)]),
    kernelNorms: () => tf.stack(branches.map(kernelNorm)) as tf.Tensor1D,
    observe: call =>
      together(branches.map(branch => observation(branch, call(branch.gate), call(last(branch))))),
    treat: joined(path),
    besides: ({ kept }) => ({
      leftOut: othersThan(kept, numExperts).flatMap(expert =>
        (branches[expert] as Branch).layers.map(({ name }) => prefix + name),
      ),
      bypassed: kept.length === 1 && numExperts > 1 ? [path] : [],
      configs: kept.map(expert => [
        prefix + (branches[expert] as Branch).gate.name,
        { expertNames: [expertNames[expert] as string] },
      ]),
    }),
    silenced: kept =>
      othersThan(kept, numExperts).map(expert => [
        last(branches[expert] as Branch),
        (_, output) => tf.zerosLike(output),
      ]),
  }
}

function branchesOf(layer: tfl.layers.Layer): readonly Branch[] | undefined {
  if (layer.getClassName() !== 'Concatenate' || layer.inboundNodes.length !== 1) return undefined
  const node = layer.inboundNodes[0]
  const ends = node?.inputTensors ?? []
  const isOfChannels = [-1, (ends[0]?.shape.length ?? 0) - 1].includes(Number(layer.getConfig().axis ?? -1))
  const branches = ends.map(branchTo)
  return isOfChannels && branches.every(branch => branch !== undefined) ? branches : undefined
}

/** The layers of one input and one reader each, back to a gate. */
function branchTo(end: tfl.SymbolicTensor): Branch | undefined {
  const layers: tfl.layers.Layer[] = []
  for (let tensor = end; ; ) {
    const layer = tensor.sourceLayer
    const inputs = layer.inboundNodes[0]?.inputTensors ?? []
    const isOwn = layer.inboundNodes.length === 1 && layer.outboundNodes.length === 1
    if (!isOwn || inputs.length !== 1 || isNestedModel(layer)) return undefined
    layers.unshift(layer)
    if (layer instanceof PatchGate) return { gate: layer, layers }
    tensor = inputs[0] as tfl.SymbolicTensor
  }
}

/** Gates are called '0' each unless they are named, and then by their place. */
function namesOf(branches: readonly Branch[]): readonly string[] {
  const names = branches.map(({ gate }) => gate.expertNames[0] as string)
  return new Set(names).size === names.length ? names : names.map((_, place) => String(place))
}

/** The branches that stay, side by side. */
function joined(path: string) {
  return (use: LayerUse, { kept }: Cut): Treatment | string => {
    const stays = new Set(kept)
    const inputs = use.inputs.map((input, expert) => {
      const size = use.inputShapes[expert]?.at(-1) ?? 0
      return stays.has(expert) ? input : { size, kept: [], source: path }
    })
    return (channelRules.Concatenate as NonNullable<typeof channelRules.Concatenate>)({ ...use, inputs })
  }
}

function kernelNorm({ layers }: Branch): tf.Scalar {
  return tf.tidy(() => {
    const kernels = layers.flatMap(({ weights }) => weights).filter(weight => ownName(weight) === 'kernel')
    const squares = kernels.map(kernel => squaresOfBlocks(kernel.read(), 0, 1))
    return tf.reshape(tf.sqrt(tf.addN([tf.zeros([1]), ...squares])), []) as tf.Scalar
  })
}

function gridOf(gate: PatchGate) {
  const [, height, width] = (gate.inboundNodes[0] as { inputShapes: tfl.Shape[] }).inputShapes[0] as [
    null,
    number,
    number,
  ]
  return patchGrid([height, width], gate.patchSize, 'pruneExperts')
}

/** Of one expert: K = 1. */
function observation({ gate }: Branch, routed: RecordedCall, made: RecordedCall): Observation {
  const grid = gridOf(gate)
  const routing = gate.route(routed.input)
  const factor = gateFactor(gate.gate, gate.gateScale, gate.patchesPerExpert, grid.count)
  const row = (map: tf.Tensor) => tf.reshape(map, [map.shape[0] as number, 1, -1]) as tf.Tensor3D
  return {
    scores: () => routerScores(routed.input, gate.weights[0]?.read() as tf.Tensor4D, grid),
    received: () => receivedPatches(routing.indices, grid.count),
    gates: () => tf.div(routing.gates, factor),
    outputs: () => row(made.output),
    slopes: () => row(made.slope as tf.Tensor),
  }
}

function together(experts: readonly Observation[]): Observation {
  const all = (part: keyof Observation) => () =>
    tf.concat(
      experts.map(expert => expert[part]()),
      1,
    ) as tf.Tensor3D
  return {
    scores: all('scores'),
    received: all('received'),
    gates: all('gates'),
    outputs: all('outputs'),
    slopes: all('slopes'),
  }
}
