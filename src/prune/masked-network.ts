import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { withIntercepted } from '../layers/intercept.js'
import { checkRounding, compareOutputs, type Outputs } from '../models/compare-models.js'
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
 * Compares a pruned network with the unpruned one where the same channels are masked: set to 0 where they are read, or, where
 * experts own no channels or keep them, with experts that answer 0.
 *
 * @returns the largest difference of their outputs: only rounding
 * @throws Error when it is more
 */
export function maskedDifference(comparison: Comparison): Promise<number> {
  const { cuts, changed } = comparison
  const masks = new Map(
    [...changed.values()].flatMap(({ layer, reads }) => (reads ? [[layer, reads] as const] : [])),
  )
  const replaced = cuts.flatMap(({ mixture, cut }) => {
    if (mixture.ownsChannels && cut.operator === 'remove') return []
    return cut.operator === 'reroute' ? (mixture.rerouted?.(cut.kept) ?? []) : mixture.silenced(cut.kept)
  })
  const reference: Outputs = inputs =>
    withIntercepted(
      [...new Set([...masks.keys(), ...replaced.map(([layer]) => layer)])],
      (input, compute, layer) => {
        const channels = masks.get(layer)
        const masked = channels ? tf.mul(input, maskOf(channels.kept, channels.size)) : input
        const output = compute(masked as tf.Tensor4D)
        return replacementOf(replaced, layer)?.(masked as tf.Tensor4D, output) ?? output
      },
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
  const replaced = cuts.flatMap(({ mixture, cut }) => mixture.silenced(cut.kept))
  return withIntercepted(
    replaced.map(([layer]) => layer),
    (input, compute, layer) => (replacementOf(replaced, layer) as Replacement)(input, compute(input)),
    run,
  )
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

/** (size) 1 for a channel that is kept, else 0. */
function maskOf(kept: readonly number[], size: number): tf.Tensor1D {
  const mask = new Float32Array(size)
  for (const channel of kept) mask[channel] = 1
  return tf.tensor1d(mask)
}
