import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readKerasLayers } from '../../../src/export/weights/keras-file.js'
import { loadKerasWeights } from '../../../src/export/weights/keras-weights.js'
import { matchLayers, type StoredLayer } from '../../../src/export/weights/stored-layers.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const folder = new URL('../../goldens/keras/', import.meta.url)
const keras = (name: string) => new Uint8Array(gunzipSync(readFileSync(new URL(`${name}.gz`, folder))))
const answers = JSON.parse(readFileSync(new URL('answers.json', folder), 'utf8')) as Record<
  string,
  number[][]
> & {
  images: number[]
}
const images = () => tf.tidy(() => tf.tensor4d(answers.images, [4, 16, 16, 3]).div(255))

const small = { inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1 } as const
const experts = { numExperts: 4, patchesPerExpert: 3, patchSize: 1 } as const
const dense = () => wideResNet(small)
const authors = () => wideResNet({ ...small, pmoe: experts, variant: 'authors' })

describe('weights of Keras', () => {
  test.each([
    ['dense.h5', dense, 18],
    ['authors.weights.h5', authors, 27],
  ] as const)('%s: the network answers as in Keras', async (name, build, layers) => {
    const model = build()
    expect(await loadKerasWeights(model, keras(name), name)).toBe(layers)
    const y = model.predict(images()) as tf.Tensor
    // Keras's own float32 rounding; the images differ by more than 100 times this.
    expectAllClose(y.dataSync(), answers[name]!, 0, 2e-6)
  })

  test('experts are not mixed up: each has its own router, BatchNorm and convolution', async () => {
    const model = authors()
    await loadKerasWeights(model, keras('authors.weights.h5'), 'file')
    const [first, second] = ['expert1_gate', 'expert2_gate'].map(name => model.getLayer(name))
    const [left, right] = [first!.getWeights()[0]!.clone(), second!.getWeights()[0]!.clone()]
    first!.setWeights([right])
    second!.setWeights([left])
    const y = (model.predict(images()) as tf.Tensor).dataSync()
    const expected = answers['authors.weights.h5']!.flat()
    expect(Math.max(...expected.map((value, i) => Math.abs(value - y[i]!)))).toBeGreaterThan(2e-5)
  })

  test('of another network name the layer and both shapes, and change nothing', async () => {
    const bytes = keras('dense.h5')
    const model = wideResNet({ ...small, numClasses: 4 })
    const before = model.getLayer('stem').getWeights()[0]?.dataSync()
    await expect(loadKerasWeights(model, bytes, 'dense.h5')).rejects.toThrow(
      'dense.h5: layer "logits" must find weights of [64, 4] [4], got "dense" of [64, 3] [3]',
    )
    expect(model.getLayer('stem').getWeights()[0]?.dataSync()).toEqual(before)
    await expect(loadKerasWeights(authors(), bytes, 'dense.h5')).rejects.toThrow(
      'dense.h5: layer "expert1_gate" must find weights of [1, 1, 64, 1], got no layer like it among the ',
    )
    await expect(loadKerasWeights(dense(), keras('authors.weights.h5'), 'a')).rejects.toThrow(
      'a: layer "group3_block1_shortcut" must find weights of [1, 1, 32, 64] [64], got "layers/conv2d_8" of [1, 1, 64, 16] [16]',
    )
  })

  test('more layers than the network has are named', () => {
    const layer = (name: string): StoredLayer => ({
      name,
      tensors: [
        { dtype: 'F32', shape: [2, 1], data: new Float32Array(2) },
        { dtype: 'F32', shape: [1], data: new Float32Array(1) },
      ],
    })
    const model = tf.sequential({ name: 'one', layers: [tf.layers.dense({ units: 1, inputShape: [2] })] })
    expect(() => matchLayers(model, [layer('dense'), layer('dense_1')], 'f.h5')).toThrow(
      'f.h5: layers must be those of one, got 1 more, the first "dense_1" of [2, 1] [1]',
    )
  })

  test('damaged files are refused: cut short, overwritten, something else, empty', async () => {
    const bytes = keras('dense.h5')
    await expect(readKerasLayers(bytes.slice(0, 90_000), 'd.h5')).rejects.toThrow(
      `d.h5: file must be an HDF5 file in good order, got: truncated file: eof = 90000, sblock->base_addr = 0, stored_eof = ${bytes.length}`,
    )
    await expect(readKerasLayers(bytes.slice().fill(0x55, 2000, 60_000), 'd.h5')).rejects.toThrow(
      /^d\.h5: file must be an HDF5 file in good order, got: \S/,
    )
    await expect(readKerasLayers(new Uint8Array([1, 2, 3, 255]), 'd.h5')).rejects.toThrow(
      'd.h5: file must start with the signature of HDF5, got 01 02 03 ff',
    )
    await expect(readKerasLayers(new Uint8Array(), 'd.h5')).rejects.toThrow('got an empty file')
    await expect(readKerasLayers(Buffer.from('PK zip'), 'd.keras')).rejects.toThrow(
      'd.keras: file must start with the signature of HDF5, got a zip archive (of a .keras file, unpack model.weights.h5)',
    )
  })

  test('an HDF5 file of something else, or of integers, is refused', async () => {
    const hdf = await import('h5wasm')
    const { FS } = await hdf.ready
    const written = (fill: (file: InstanceType<typeof hdf.File>) => void) => {
      const file = new hdf.File('made.h5', 'w')
      fill(file)
      file.close()
      const bytes = FS.readFile('made.h5')
      FS.unlink('made.h5')
      return bytes
    }
    const other = written(file => void file.create_group('measurements'))
    await expect(readKerasLayers(other, 'm.h5')).rejects.toThrow(
      'm.h5: file must hold the weights of a Keras model, got groups measurements',
    )
    const integers = written(file => {
      const vars = file.create_group('layers').create_group('dense').create_group('vars')
      vars.create_dataset({ name: '0', data: Int32Array.of(1, 2), shape: [2] })
    })
    await expect(readKerasLayers(integers, 'i.h5')).rejects.toThrow(
      'i.h5: tensor "layers/dense/vars/0" must hold floats, got "<i"',
    )
  })

  test('state that is no weight is left out, and layers come in the order of their numbers', async () => {
    const hdf = await import('h5wasm')
    const { FS } = await hdf.ready
    const file = new hdf.File('made.h5', 'w')
    const put = (path: string, data: Float32Array | Int32Array) => {
      const group = path
        .split('/')
        .reduce<InstanceType<typeof hdf.Group>>(
          (parent, name) =>
            (parent.keys().includes(name) ? parent.get(name) : parent.create_group(name)) as InstanceType<
              typeof hdf.Group
            >,
          file,
        )
      group.create_dataset({ name: '0', data, shape: [data.length] })
    }
    put('layers/norm_10/vars', Float32Array.of(10))
    put('layers/norm_2/vars', Float32Array.of(2))
    put('layers/norm/vars', Float32Array.of(0))
    put('layers/dropout/seed_generator/vars', Int32Array.of(1))
    put('optimizer/vars', Float32Array.of(-1))
    file.close()
    const layers = await readKerasLayers(FS.readFile('made.h5'), 'made')
    FS.unlink('made.h5')
    expect(layers.map(({ name, tensors }) => [name, tensors[0]?.data[0]])).toEqual([
      ['layers/norm', 0],
      ['layers/norm_2', 2],
      ['layers/norm_10', 10],
    ])
  })
})

/** HDF5 files made for this, gzip in base64. */
const unpacked = (packed: string) => new Uint8Array(gunzipSync(Buffer.from(packed, 'base64')))

/** A group that holds itself. */
const CIRCLE =
  'H4sIAAAAAAACA+v0cHHj5ZLiYubgYICB/1BgxgjhG0DFe77NjfP3cAliYqhgEkJWCANcTAxALWyCDECKLSexMrWoeDPMUGcG' +
  'agDWkpmZxDhBAOQE1sT0xMw8mAvEWBlYGJhALGuKnBDAqv4PAHME/FE2AQAA'

/** A layer that lists a kernel which is not there. */
const LOST =
  'H4sIAAAAAAACA+v0cHHj5ZLiYubgYICB/1BgxgjhG0DFe77NjfP3cAliYqhgEkJWCANcTAxALaJCDCyYcjxGDAzMDDwMHAwi' +
  'DAw5iZWpRfF5ibmpxQzCQC0gi5gYgQBqE4xOYeMBcRhTNkMFqou/PCXfCVYgJ/BCnFCempmeUYLkBg5cbtDPTi3KS80BmQgC' +
  'Adf+1gIA1iK04TYBAAA='

describe('a damaged file is given up', () => {
  test('whose groups hold themselves', async () => {
    await expect(readKerasLayers(unpacked(CIRCLE), 'a.h5')).rejects.toThrow(
      'a.h5: groups must be nested at most 32 deep, got more at layers/again/again',
    )
  })

  test('that lists what is not there', async () => {
    await expect(readKerasLayers(unpacked(LOST), 'a.h5')).rejects.toThrow(
      'a.h5: tensor "d/d/kernel" must be in the file, got none',
    )
  })

  test('wherever a byte is another', async () => {
    const whole = unpacked(LOST)
    for (let at = 8; at < whole.length; at += 7) {
      const damaged = Uint8Array.from(whole, (byte, i) => (i === at ? byte ^ 0xff : byte))
      const refused = await readKerasLayers(damaged, 'a.h5').catch((error: Error) => error.message)
      expect(refused).toMatch(/^a\.h5: (file|tensor|layer|groups) /)
    }
  })
})
