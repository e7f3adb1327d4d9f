import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { fileSystem } from '../../src/files/model-files.js'
import { useTestBackend } from '../backend-under-test.js'

let folder: string
let dir: string

beforeAll(() => useTestBackend())

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'model-files-'))
  dir = join(folder, 'nested', 'model')
})

afterEach(() => rm(folder, { recursive: true }))

function network(units = 3): tf.Sequential {
  const kernelInitializer = tf.initializers.glorotNormal({ seed: 5 })
  return tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [6, 6, 2], filters: 4, kernelSize: 3, kernelInitializer }),
      tf.layers.batchNormalization(),
      tf.layers.flatten(),
      tf.layers.dense({ units, activation: 'softmax', kernelInitializer }),
    ],
  })
}

const images = (): tf.Tensor4D => tf.randomNormal([8, 6, 6, 2], 0, 1, 'float32', 3)
const classes = (): tf.Tensor2D => tf.oneHot(tf.tensor1d([0, 1, 2, 0, 1, 2, 0, 1], 'int32'), 3) as tf.Tensor2D

describe('a saved model comes back', () => {
  test('also where an editor put the mark of UTF-8 before its model.json', async () => {
    await network().save(fileSystem(dir))
    const path = join(dir, 'model.json')
    await writeFile(path, `\ufeff${await readFile(path, 'utf8')}`)
    expect((await tf.loadLayersModel(fileSystem(dir))).layers).toHaveLength(4)
  })

  test('with its predictions, to the bit', async () => {
    const model = network()
    await model.save(fileSystem(dir))
    const loaded = await tf.loadLayersModel(fileSystem(dir))
    const x = images()
    expect([...(loaded.predict(x) as tf.Tensor).dataSync()]).toEqual([
      ...(model.predict(x) as tf.Tensor).dataSync(),
    ])
    expect((await readdir(dir)).sort()).toEqual(['model.json', 'weights.bin'])
    const loaders = tf.io.getLoadHandlers(`file://${dir}/model.json`)
    // tfjs-node's own loader, where it is the backend.
    expect(loaders).toHaveLength((await useTestBackend()) === 'tensorflow' ? 1 : 0)
    for (const loader of loaders) {
      const other = await tf.loadLayersModel(loader)
      expect([...(other.predict(x) as tf.Tensor).dataSync()]).toEqual([
        ...(model.predict(x) as tf.Tensor).dataSync(),
      ])
    }
  })

  test('with its optimizer: the next step is the one that the saved model takes', async () => {
    const model = network()
    model.compile({ optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy' })
    const [x, y] = [images(), classes()]
    await model.trainOnBatch(x, y)
    await model.save(fileSystem(dir), { includeOptimizer: true })
    const loaded = (await tf.loadLayersModel(fileSystem(dir))) as tf.Sequential
    expect(await loaded.trainOnBatch(x, y)).toBeCloseTo((await model.trainOnBatch(x, y)) as number, 5)
    const weights = (from: tf.Sequential): number[][] =>
      from.getWeights().map(weight => [...weight.dataSync()])
    const expected = weights(model).flat()
    for (const [i, value] of weights(loaded).flat().entries())
      expect(value).toBeCloseTo(expected[i] ?? Number.NaN, 5)
  })

  test('a second save replaces the first, and other files stay', async () => {
    await network().save(fileSystem(dir))
    await writeFile(join(dir, 'notes.txt'), 'mine')
    const second = network(5)
    await second.save(fileSystem(dir))
    const loaded = await tf.loadLayersModel(fileSystem(dir))
    expect(loaded.outputShape).toEqual([null, 5])
    expect(await readFile(join(dir, 'notes.txt'), 'utf8')).toBe('mine')
  })

  test('weights cut into shards, as converters write them, load as well', async () => {
    const model = network()
    await model.save(fileSystem(dir))
    const weights = await readFile(join(dir, 'weights.bin'))
    const json = JSON.parse(await readFile(join(dir, 'model.json'), 'utf8'))
    json.weightsManifest[0].paths = ['shard1', 'shard2']
    await writeFile(join(dir, 'model.json'), JSON.stringify(json))
    await writeFile(join(dir, 'shard1'), weights.subarray(0, 101))
    await writeFile(join(dir, 'shard2'), weights.subarray(101))
    const loaded = await tf.loadLayersModel(fileSystem(dir))
    expect(loaded.getWeights().flatMap(weight => [...weight.dataSync()])).toEqual(
      model.getWeights().flatMap(weight => [...weight.dataSync()]),
    )
  })
})

describe('what cannot be loaded is named', () => {
  const loading = (): Promise<tf.LayersModel> => tf.loadLayersModel(fileSystem(dir))
  const change = async (
    edit: (model: { weightsManifest: { paths: string[]; weights: object[] }[] }) => void,
  ) => {
    const model = JSON.parse(await readFile(join(dir, 'model.json'), 'utf8'))
    edit(model)
    await writeFile(join(dir, 'model.json'), JSON.stringify(model))
  }

  test('no folder', async () => {
    await expect(loading()).rejects.toThrow(
      `fileSystem: ${dir} must be the folder of a saved model, got no such folder`,
    )
  })

  test('a folder without model.json, and a file in the folder’s place', async () => {
    await mkdir(dir, { recursive: true })
    await expect(loading()).rejects.toThrow(
      `fileSystem: ${dir} must be the folder of a saved model, got no readable model.json`,
    )
    await rm(dir, { recursive: true })
    await writeFile(dir, 'x')
    await expect(loading()).rejects.toThrow(
      `fileSystem: ${dir} must be the folder of a saved model, got a file`,
    )
  })

  test('model.json cut off', async () => {
    await network().save(fileSystem(dir))
    const path = join(dir, 'model.json')
    await writeFile(path, (await readFile(path, 'utf8')).slice(0, 200))
    await expect(loading()).rejects.toThrow(`fileSystem: ${path} must be JSON, got 200 characters: `)
  })

  test('JSON that is no model', async () => {
    await mkdir(dir, { recursive: true })
    await writeFile(join(dir, 'model.json'), '{"weightsManifest": []}')
    await expect(loading()).rejects.toThrow(
      `fileSystem: ${join(dir, 'model.json')} must describe a model, got: modelTopology: Invalid input`,
    )
  })

  test('a weight of an unknown type', async () => {
    await network().save(fileSystem(dir))
    await change(model => Object.assign(model.weightsManifest[0]?.weights[1] ?? {}, { dtype: 'float8' }))
    await expect(loading()).rejects.toThrow('must describe a model, got: weightsManifest.0.weights.1.dtype: ')
  })

  test('the weights file missing', async () => {
    await network().save(fileSystem(dir))
    await rm(join(dir, 'weights.bin'))
    await expect(loading()).rejects.toThrow(
      `fileSystem: ${join(dir, 'weights.bin')} must be readable, got: ENOENT: no such file or directory`,
    )
  })

  test('the weights file cut off, or too long: bytes found and expected', async () => {
    await network().save(fileSystem(dir))
    const path = join(dir, 'weights.bin')
    const weights = await readFile(path)
    // conv 3*3*2*4 + 4, batch norm 4*4, dense 64*3 + 3, four bytes each
    const expected = 4 * (76 + 16 + 195)
    expect(weights.length).toBe(expected)
    await writeFile(path, weights.subarray(0, 1000))
    await expect(loading()).rejects.toThrow(
      `fileSystem: ${path} must hold ${expected} bytes, got 1000 (8 weights in model.json)`,
    )
    await writeFile(path, Buffer.concat([weights, Buffer.alloc(3)]))
    await expect(loading()).rejects.toThrow(`must hold ${expected} bytes, got ${expected + 3} (8 weights`)
  })

  test('a weights file outside the folder', async () => {
    await network().save(fileSystem(dir))
    for (const path of ['../weights.bin', '/weights.bin']) {
      await change(model => Object.assign(model.weightsManifest[0] ?? {}, { paths: [path] }))
      await expect(loading()).rejects.toThrow(
        `fileSystem: a weights file must lie in the model's folder, got ${path} (${join(dir, 'model.json')})`,
      )
    }
  })
})

describe('what cannot be saved is named and loses nothing', () => {
  test('a file in the way of the folder', async () => {
    await mkdir(join(folder, 'nested'))
    await writeFile(dir, 'mine')
    await expect(network().save(fileSystem(dir))).rejects.toThrow(
      `fileSystem: ${dir} must be a folder that can be made, got: EEXIST`,
    )
    expect(await readFile(dir, 'utf8')).toBe('mine')
  })

  test('a failed save leaves the model that was there', async () => {
    const first = network()
    await first.save(fileSystem(dir))
    // JSON knows no bigint: the new model.json cannot be written.
    const before = await readFile(join(dir, 'weights.bin'))
    await expect(
      fileSystem(dir).save?.({
        modelTopology: { size: 1n },
        weightSpecs: [],
        weightData: new ArrayBuffer(0),
      }),
    ).rejects.toThrow(TypeError)
    expect(await readFile(join(dir, 'weights.bin'))).toEqual(before)
    await tf.loadLayersModel(fileSystem(dir))
  })

  test('a binary graph is refused', async () => {
    await expect(fileSystem(dir).save?.({ modelTopology: new ArrayBuffer(4) })).rejects.toThrow(
      `fileSystem: modelTopology must be JSON, got an ArrayBuffer (${dir})`,
    )
  })

  test('saving and loading leave no tensor behind', async () => {
    const model = network()
    const before = tf.memory().numTensors
    await model.save(fileSystem(dir))
    const loaded = await tf.loadLayersModel(fileSystem(dir))
    loaded.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })
})

test('a folder without write permission is named', async () => {
  await mkdir(dir, { recursive: true })
  await chmod(dir, 0o500)
  const saving = network().save(fileSystem(dir))
  // The superuser may write anywhere.
  if (process.getuid?.() === 0) await saving
  else await expect(saving).rejects.toThrow(/writeFileAtomic: .* must be writable, got: EACCES/)
  await chmod(dir, 0o700)
})

test('weights that have changed are refused by their checksum; a model without one loads', async () => {
  await network().save(fileSystem(dir))
  const [weights, json] = [join(dir, 'weights.bin'), join(dir, 'model.json')]
  const bytes = await readFile(weights)
  bytes[17]! ^= 1
  await writeFile(weights, bytes)
  await expect(tf.loadLayersModel(fileSystem(dir))).rejects.toThrow(
    /^fileSystem: .*weights\.bin must have the sha256 [0-9a-f]{64} of model\.json, got [0-9a-f]{64} \(damaged/,
  )
  const model = JSON.parse(await readFile(json, 'utf8'))
  delete model.weightsManifest[0].sha256
  await writeFile(json, JSON.stringify(model))
  expect((await tf.loadLayersModel(fileSystem(dir))).layers).toHaveLength(4)
})
