import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { modelGraph } from '../export/graph/model-graph.js'
import { calibratedValues, type Range, type Ranges } from '../export/onnx/quantization.js'
import { firstPatchesPerExpert, mostPatchesPerExpert } from '../layers/moe/routing-layers.js'
import { tfjsProgram } from './tfjs-program.js'

/** What is calibrated. */
export interface CalibrationOptions {
  /** Whether L is an input of the network, as the option of `exportOnnx`: ranges are then those over its least, trained and most. */
  readonly variablePatches?: boolean
}

/**
 * Measures the ranges of numbers that a model computes with, for the option `quantize` of `exportOnnx`.
 *
 * @param batches what the network will see when it is used: for a model of one input (B,H,W,C) float32, scaled as in
 *   training, a few hundred images altogether; one list for each batch, of one tensor an input; disposed by the caller
 * @throws RangeError when there is no batch, or L cannot be an input of the model
 */
export async function calibrate(
  model: tfl.LayersModel,
  batches: AsyncIterable<readonly tf.Tensor[]> | Iterable<readonly tf.Tensor[]>,
  { variablePatches = false }: CalibrationOptions = {},
): Promise<Ranges> {
  const graph = await modelGraph(model, { variablePatches })
  const measured = calibratedValues(graph)
  const outputs = measured.map(value => ({ name: value.name, value }))
  const program = tfjsProgram({ ...graph, outputs })
  const ranges = new Map<string, Range>()
  const counts = variablePatches ? patchCounts(model) : undefined
  let count = 0
  try {
    for await (const batch of batches) {
      for (const patches of counts ?? [undefined]) {
        const limits = tf.tidy(() => {
          const inputs = patches === undefined ? batch : [...batch, tf.scalar(patches, 'int32')]
          return tf.stack(program.run(inputs).flatMap(value => [tf.min(value), tf.max(value)]))
        })
        const numbers = await limits.data()
        limits.dispose()
        for (const [i, { name }] of measured.entries()) {
          const [low, high] = ranges.get(name) ?? [0, 0]
          ranges.set(name, [
            Math.min(low, numbers[2 * i] ?? Number.NaN),
            Math.max(high, numbers[2 * i + 1] ?? Number.NaN),
          ])
        }
      }
      count++
    }
  } finally {
    program.dispose()
  }
  if (count === 0) throw new RangeError('calibrate: batches must be at least 1, got 0')
  return Object.fromEntries(ranges)
}

/** The least, the trained and the largest L. */
function patchCounts(model: tfl.LayersModel): ReadonlySet<number> {
  return new Set([1, firstPatchesPerExpert(model), mostPatchesPerExpert(model, 'calibrate: variablePatches')])
}
