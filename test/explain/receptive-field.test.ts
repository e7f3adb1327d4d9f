import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, test } from 'vitest'
import { patchField, receptiveField } from '../../src/explain/receptive-field.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

type Chain = (x: tf.SymbolicTensor) => tf.SymbolicTensor

const side = 12

/** The pixels of one column of the image that change a pixel of the map, found by changing each of them. */
function rowsSeen(chain: Chain, mapRow: number): number[] {
  const input = tf.input({ shape: [side, 1, 1] })
  const model = tf.model({ inputs: input, outputs: chain(input) })
  return tf.tidy(() => {
    const base = model.predict(tf.zeros([1, side, 1, 1])) as tf.Tensor4D
    const changed = model.predict(tf.eye(side).reshape([side, side, 1, 1])) as tf.Tensor4D
    const seen = changed.sub(base).abs().sum(3).arraySync() as number[][][]
    return seen.flatMap((map, row) => ((map[mapRow]?.[0] ?? 0) > 0 ? [row] : []))
  })
}

const ones = { filters: 1, kernelInitializer: 'ones', useBias: false } as const
const conv = (size: number, more = {}): Chain => {
  const layer = tf.layers.conv2d({ ...ones, kernelSize: [size, 1], padding: 'same', ...more })
  return x => layer.apply(x) as tf.SymbolicTensor
}
const pool: Chain = x =>
  tf.layers
    .averagePooling2d({ poolSize: [3, 1], strides: [2, 1], padding: 'same' })
    .apply(x) as tf.SymbolicTensor

const dilated = 'a dilated convolution'
const chains: Record<string, Chain> = {
  'one convolution': conv(3),
  'a convolution of stride 2, whose padding is not symmetric': conv(3, { strides: [2, 1] }),
  'stride 2, then 5 pixels': x => conv(5)(conv(3, { strides: [2, 1] })(x)),
  'valid convolutions': x => conv(3, { padding: 'valid' })(conv(4, { padding: 'valid' })(x)),
  [dilated]: conv(3, { dilationRate: [2, 1] }),
  pooling: x => conv(3)(pool(x)),
  'a residual': x => {
    const short = conv(1, { strides: [2, 1] })(x)
    const long = conv(3)(conv(3, { strides: [2, 1] })(x))
    return tf.layers.add().apply([short, long]) as tf.SymbolicTensor
  },
  'padding by layer': x =>
    conv(3, { padding: 'valid' })(
      tf.layers
        .zeroPadding2d({
          padding: [
            [2, 1],
            [0, 0],
          ],
        })
        .apply(x) as tf.SymbolicTensor,
    ),
}

describe('receptiveField', () => {
  test.each(Object.entries(chains))('is what changing pixels finds: %s', (name, chain) => {
    const tensor = chain(tf.input({ shape: [side, 1, 1] }))
    const field = receptiveField(tensor)!
    for (let row = 0; row < (tensor.shape[1] as number); row++) {
      const low = field.low[0] + row * field.step[0]
      const high = field.high[0] + row * field.step[0]
      const inside = Array.from({ length: side }, (_, i) => i).filter(i => i >= low && i <= high)
      const seen = rowsSeen(chain, row)
      // Dilation leaves holes: the field is the range that the pixels span, where the padding cuts none of them off.
      const ends = [seen[0], seen.at(-1)]
      if (low >= 0 && high < side) expect(ends).toEqual([low, high])
      else if (name !== dilated) expect(ends).toEqual([inside[0], inside.at(-1)])
      expect(inside).toEqual(expect.arrayContaining(seen))
    }
  })

  test('of a patch is that of its pixels together', () => {
    // Two pixels at step 2, each of 5 rows; three at step 1, each of 1 column.
    expect(patchField({ low: [-2, 0], high: [2, 0], step: [2, 1] }, [2, 3])).toEqual([7, 3])
  })

  test('is not known past layers that mix everything', () => {
    const input = tf.input({ shape: [4, 4, 1] })
    const flat = tf.layers.flatten().apply(input) as tf.SymbolicTensor
    const map = tf.layers.reshape({ targetShape: [4, 4, 1] }).apply(flat) as tf.SymbolicTensor
    expect(receptiveField(map)).toBeUndefined()
    expect(receptiveField(conv(3)(map))).toBeUndefined()
  })
})
