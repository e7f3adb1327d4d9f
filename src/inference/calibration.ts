import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { modelGraph } from '../export/graph/model-graph.js'
import { calibratedValues, type Range, type Ranges } from '../export/onnx/quantization.js'
import { tfjsProgram } from './tfjs-program.js'

/**
 * Measures the ranges of numbers that a model computes with, for the option `quantize` of `exportOnnx`.
 *
 * @param batches what the network will see when it is used: for a model of one input (B,H,W,C) float32, scaled as in
 *   training, a few hundred images altogether; one list for each batch, of one tensor an input; disposed by the caller
 * @throws RangeError when there is no batch
 */
export async function calibrate(
  model: tfl.LayersModel,
  batches: AsyncIterable<readonly tf.Tensor[]> | Iterable<readonly tf.Tensor[]>,
): Promise<Ranges> {
  const graph = await modelGraph(model)
  const measured = calibratedValues(graph)
  const outputs = measured.map(value => ({ name: value.name, value }))
  const program = tfjsProgram({ ...graph, outputs })
  const ranges = new Map<string, Range>()
  let count = 0
  try {
    for await (const batch of batches) {
      const limits = tf.tidy(() =>
        tf.stack(program.run(batch).flatMap(value => [tf.min(value), tf.max(value)])),
      )
      const numbers = await limits.data()
      limits.dispose()
      for (const [i, { name }] of measured.entries()) {
        const [low, high] = ranges.get(name) ?? [0, 0]
        ranges.set(name, [
          Math.min(low, numbers[2 * i] ?? Number.NaN),
          Math.max(high, numbers[2 * i + 1] ?? Number.NaN),
        ])
      }
      count++
    }
  } finally {
    program.dispose()
  }
  if (count === 0) throw new RangeError('calibrate: batches must be at least 1, got 0')
  return Object.fromEntries(ranges)
}
