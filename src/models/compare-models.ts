import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { random } from '../random.js'

/** Inputs for comparing models. */
export interface SampleInputs {
  readonly inputs: tf.Tensor[]
  dispose(): void
}

/**
 * Two samples for every input of a model: numbers of [0, 1), or zeros where an input takes integers.
 *
 * @param sample the caller's own, one tensor for each input, which stay the caller's
 * @param where the caller's name
 * @throws RangeError when there is none, and an input has no fixed size
 */
export function sampleInputs(
  model: tfl.LayersModel,
  { sample, seed = 0 }: { readonly sample?: tf.Tensor | tf.Tensor[]; readonly seed?: number },
  where: string,
): SampleInputs {
  if (sample) return { inputs: [sample].flat(), dispose: () => {} }
  const source = random(seed, `${where} sample`)
  const inputs = model.inputs.map(({ shape, dtype, name }) => {
    const sides = shape.slice(1)
    if (!sides.every(side => side !== null)) {
      throw new RangeError(
        `${where}: sample must be given for inputs of any size, got input ${name} of shape [${shape.map(side => side ?? 'null').join(', ')}]`,
      )
    }
    const full = [2, ...(sides as number[])]
    if (dtype === 'int32') return tf.zeros(full, 'int32')
    return tf.tensor(Float32Array.from({ length: tf.util.sizeFromShape(full) }, source.next), full)
  })
  return { inputs, dispose: () => tf.dispose(inputs) }
}

/** Gives the outputs of a model, or of a changed form of it. */
export type Outputs = (inputs: tf.Tensor[]) => tf.Tensor | tf.Tensor[]

/** How far the outputs of two models lie apart. */
export interface ModelDifference {
  /** Greatest difference of two numbers of the outputs. */
  readonly difference: number
  /** Greatest magnitude of a number of the first model's outputs. */
  readonly magnitude: number
}

/** Compares what two models give. */
export async function compareOutputs(
  before: Outputs,
  after: Outputs,
  inputs: tf.Tensor[],
): Promise<ModelDifference> {
  const numbers = tf.tidy(() => {
    const [old, changed] = [before, after].map(outputs => [outputs(inputs)].flat() as tf.Tensor[])
    const differences = (old as tf.Tensor[]).map((output, i) =>
      tf.max(tf.abs(tf.sub(output, (changed as tf.Tensor[])[i] as tf.Tensor))),
    )
    const magnitudes = (old as tf.Tensor[]).map(output => tf.max(tf.abs(output)))
    return tf.stack([tf.max(tf.stack(differences)), tf.max(tf.stack(magnitudes))])
  })
  const [difference = Number.NaN, magnitude = Number.NaN] = await numbers.data()
  numbers.dispose()
  return { difference, magnitude }
}

/** Share of the outputs' magnitude that rounding may take; deep networks amplify the last bits of their maps. */
const TOLERANCE = 1e-3

/**
 * Checks that two models differ by rounding alone.
 *
 * @param requirement what must be so, for the error: `the new model must equal the old one`
 * @param context which layer, for the error
 * @throws Error with the numbers where they do not
 */
export function checkRounding(
  { difference, magnitude }: ModelDifference,
  requirement: string,
  context: string,
): void {
  const allowed = TOLERANCE * magnitude
  if (difference <= allowed) return
  throw new Error(
    `${requirement}, got a difference of ${difference} (outputs up to ${magnitude}, allowed ${allowed}; ${context})`,
  )
}
