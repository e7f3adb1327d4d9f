import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { type Intercept, whileIntercepted, withIntercepted } from '../layers/intercept.js'
import { checkRounding, compareOutputs, type Outputs } from '../models/compare-models.js'
import { ownName } from './channel-rules.js'
import type { ChangedLayer, MixtureCut } from './channel-walk.js'
import type { Replacement, Replacements } from './mixtures/mixture.js'

/** What a pruned network is compared with. */
export interface Comparison {
  readonly model: tfl.LayersModel
  readonly pruned: tfl.LayersModel
  readonly inputs: tf.Tensor[]
  readonly cuts: readonly MixtureCut[]
  readonly changed: ReadonlyMap<string, ChangedLayer>
  readonly where: string
}

/**
 * Compares a pruned network with the unpruned one where the same channels are masked: by zeros in the weights that sum over
 * them, or, where experts own no channels or keep them, by experts that answer 0.
 *
 * @returns the largest difference of their outputs: only rounding
 * @throws Error when it is more
 */
export function maskedDifference(comparison: Comparison): Promise<number> {
  const { cuts, changed } = comparison
  const readers = new Map<tfl.layers.Layer, ChangedLayer>()
  for (const reader of changed.values()) if (reader.reads) readers.set(reader.layer, reader)
  const replaced = cuts.flatMap(({ mixture, cut }) => {
    if (mixture.ownsChannels && cut.operator === 'remove') return []
    return cut.operator === 'reroute' ? (mixture.rerouted?.(cut.kept) ?? []) : mixture.silenced(cut.kept)
  })
  const reference: Outputs = inputs =>
    withIntercepted(
      [...new Set([...readers.keys(), ...replaced.map(([layer]) => layer)])],
      (input, compute, layer) =>
        withMaskedWeights(readers.get(layer), () => {
          const output = compute(input)
          return replacementOf(replaced, layer)?.(input, output) ?? output
        }),
      () => comparison.model.predict(inputs),
    )
  return differenceTo(reference, comparison, 'the unpruned one with the same channels masked')
}

/**
 * Compares a pruned network that compensates for its missing experts with the unpruned one whose experts answer 0.
 *
 * @throws Error as `maskedDifference`
 */
export function silencedDifference(comparison: Comparison): Promise<number> {
  const reference: Outputs = inputs => silenced(comparison.cuts, () => comparison.model.predict(inputs))
  return differenceTo(reference, comparison, 'the unpruned one whose removed experts answer 0')
}

/** Calls `run` while the experts that go answer 0. */
export function silenced<Result>(cuts: readonly MixtureCut[], run: () => Result): Result {
  return withIntercepted(...silencing(cuts), run)
}

/** As {@link silenced}, until what `run` promises is there; until then nothing else must compute with the network. */
export function whileSilenced<Result>(
  cuts: readonly MixtureCut[],
  run: () => Promise<Result>,
): Promise<Result> {
  return whileIntercepted(...silencing(cuts), run)
}

function silencing(
  cuts: readonly MixtureCut[],
): [layers: readonly tfl.layers.Layer[], intercept: Intercept<tfl.layers.Layer>] {
  const replaced = cuts.flatMap(({ mixture, cut }) => mixture.silenced(cut.kept))
  return [
    replaced.map(([layer]) => layer),
    (input, compute, layer) => (replacementOf(replaced, layer) as Replacement)(input, compute(input)),
  ]
}

async function differenceTo(
  reference: Outputs,
  { pruned, inputs, cuts, where }: Comparison,
  what: string,
): Promise<number> {
  const result = await compareOutputs(reference, x => pruned.predict(x), inputs)
  const layers = cuts.map(({ mixture }) => mixture.path).join(', ')
  checkRounding(result, `${where}: the pruned network must equal ${what}`, `pruned ${layers}`)
  return result.difference
}

function replacementOf(replaced: Replacements, layer: tfl.layers.Layer): Replacement | undefined {
  return replaced.find(([other]) => other === layer)?.[1]
}

/** Calls `run` while a layer has zeros in the weights of the channels that it is to sum over no longer. */
function withMaskedWeights<Result>(reader: ChangedLayer | undefined, run: () => Result): Result {
  const cuts = reader?.cuts.filter(({ summed }) => summed) ?? []
  const restored = cuts.map(({ weight: name, axis, kept }) => {
    const weight = reader?.layer.weights.find(other => ownName(other) === name)?.read() as tf.Variable
    const before = weight.clone()
    tf.tidy(() => weight.assign(tf.mul(weight, maskAlong(axis, weight.shape, kept))))
    return () => {
      weight.assign(before)
      before.dispose()
    }
  })
  try {
    return run()
  } finally {
    for (const restore of restored.toReversed()) restore()
  }
}

/** 1 for the numbers of an axis that are kept, else 0; in the shape that multiplies a tensor of this shape. */
function maskAlong(axis: number, shape: readonly number[], kept: readonly number[]): tf.Tensor {
  const mask = new Float32Array(shape[axis] as number)
  for (const number of kept) mask[number] = 1
  return tf.tensor(
    mask,
    shape.map((side, i) => (i === axis ? side : 1)),
  )
}
