import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { layerLowerings } from '../../../src/export/graph/layer-lowerings.js'
import { exportOnnx } from '../../../src/export/onnx/onnx.js'
import { samplesFolder } from '../../../src/files/data-folder.js'
import { decodeImage } from '../../../src/files/images/image-files.js'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import type { ImageShape } from '../../../src/shapes.js'
import { useTestBackend } from '../../backend-under-test.js'
import {
  damagedImages,
  hasNaN,
  layerCases,
  mixtureCases,
  networkCases,
  noise,
  tangled,
  trained,
} from '../exported-models.js'
import { channelsFirst, decodeOnnx, difference, runOnnx } from '../run-onnx.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** Inputs of noise and what the model says of them. */
function asked(model: tf.LayersModel, batch: number) {
  const x = noise(model.inputs[0]?.shape ?? [], batch, batch)
  return { x, y: model.predict(x, { batchSize: batch }) as tf.Tensor }
}

async function answer(bytes: Uint8Array, model: tf.LayersModel, x: tf.Tensor) {
  const outputs = await runOnnx(bytes, { [model.inputNames[0] as string]: x })
  return outputs[model.outputNames[0] as string]!
}

async function sampleImages(shape: ImageShape, count: number): Promise<tf.Tensor> {
  const faces = samplesFolder('drawn-faces-celeba')
  const images = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const path = `img_align_celeba/${String(i + 1).padStart(6, '0')}.jpg`
      return decodeImage(await faces.read(path), { shape }, path)
    }),
  )
  return tf
    .tensor(new Uint8Array(Buffer.concat(images)), [count, ...shape], 'int32')
    .toFloat()
    .div(255)
}

describe('a network in ONNX Runtime answers as in tfjs', () => {
  test.each(networkCases)('$name, on noise and on pictures, in batches of any length', async ({ build }) => {
    const model = trained(build())
    const { bytes } = await exportOnnx(model)
    const first = await exportOnnx(model, { layout: 'nchw' })
    const pictures = await sampleImages(model.inputs[0]!.shape.slice(1) as unknown as ImageShape, 4)
    const predicted = { x: pictures, y: model.predict(pictures) as tf.Tensor }
    for (const { x, y } of [asked(model, 1), asked(model, 5), predicted]) {
      const own = await answer(bytes, model, x)
      const turned = await answer(first.bytes, model, channelsFirst(x))
      expect(own.shape).toEqual(y.shape)
      expect(difference(y, own.data)).toBeLessThan(1e-5)
      expect(difference(y, turned.data)).toBeLessThan(1e-5)
      const best = tf.tensor(own.data, y.shape).argMax(1).dataSync()
      expect([...best]).toEqual([...y.argMax(1).dataSync()])
    }
  })

  test.each(mixtureCases)('$name', async ({ build }) => {
    const model = trained(build())
    const { bytes } = await exportOnnx(model)
    for (const batch of [1, 3]) {
      const { x, y } = asked(model, batch)
      expect(y.max().dataSync()[0]).not.toBe(0)
      expect(difference(y, (await answer(bytes, model, x)).data)).toBeLessThan(1e-5)
    }
  })

  test.each(Object.entries(layerCases))('%s', async (className, builds) => {
    for (const build of builds) {
      const model = trained(build())
      expect(model.layers.map(layer => layer.getClassName())).toContain(className)
      const { bytes } = await exportOnnx(model)
      const { x, y } = asked(model, 2)
      const own = await answer(bytes, model, x)
      expect(own.shape).toEqual(y.shape)
      expect(difference(y, own.data)).toBeLessThan(2e-5)
    }
  })

  test('with two inputs and outputs, a nested model and a shared layer', async () => {
    const model = trained(tangled())
    const { bytes } = await exportOnnx(model)
    const [left, right] = [noise([null, 6, 6, 2], 3, 1), noise([null, 6, 6, 2], 3, 2)]
    const [sum, joined] = model.predict([left, right]) as [tf.Tensor, tf.Tensor]
    const outputs = await runOnnx(bytes, { left, right })
    expect(Object.keys(outputs)).toEqual(model.outputNames)
    expect(outputs.sum?.shape).toEqual([3, 6, 6, 4])
    expect(difference(sum, outputs.sum!.data)).toBeLessThan(1e-5)
    expect(difference(joined, outputs.joined!.data)).toBeLessThan(1e-5)
  })

  test('every layer that can be exported is tried', () => {
    expect(Object.keys(layerCases).sort()).toEqual(Object.keys(layerLowerings).sort())
  })
})

describe('the file', () => {
  test('names inputs, outputs, classes and what pixels mean', async () => {
    const { bytes } = await exportOnnx(networkCases[2]!.build(), {
      layout: 'nchw',
      classNames: ['a', 'b', 'c', 'd'],
      preprocessing: 'x / 255',
      version: '9.8.7',
    })
    const { irVersion, opsetImport, metadataProps, graph } = await decodeOnnx(bytes)
    expect({ irVersion, opsetImport }).toEqual({
      irVersion: '8',
      opsetImport: [{ domain: '', version: '17' }],
    })
    const [image] = graph.input
    expect(image?.name).toBe('image')
    expect(image?.type.tensorType.elemType).toBe(1)
    const dims = image?.type.tensorType.shape.dim.map(
      ({ dimValue, dimParam }) => dimParam ?? Number(dimValue),
    )
    expect(dims).toEqual(['batch', 3, 32, 32])
    expect(graph.output.map(({ name }) => name)).toEqual(['probabilities'])
    const told = Object.fromEntries(metadataProps.map(({ key, value }) => [key, value]))
    expect(told.producer).toBe('patch-moe 9.8.7')
    expect(JSON.parse(told.classes ?? '')).toEqual(['a', 'b', 'c', 'd'])
    expect(JSON.parse(told.inputs ?? '')).toEqual({
      image: { axes: 'batch,channels,height,width', dtype: 'float32', preprocessing: 'x / 255' },
    })
  })

  test('takes bytes where it is told to, and divides them by 255 itself', async () => {
    const model = trained(networkCases[2]!.build())
    const x = noise([null, 32, 32, 3], 2, 7)
    const pixels = x.mul(255).round().toInt()
    const y = model.predict(x) as tf.Tensor
    for (const layout of ['nhwc', 'nchw'] as const) {
      const { bytes } = await exportOnnx(model, { pixels: 'uint8', layout })
      const fed = layout === 'nchw' ? channelsFirst(pixels) : pixels
      expect(difference(y, (await answer(bytes, model, fed)).data)).toBeLessThan(1e-5)
      const { graph, metadataProps } = await decodeOnnx(bytes)
      expect(graph.input[0]?.type.tensorType.elemType).toBe(2)
      expect(metadataProps.find(({ key }) => key === 'inputs')?.value).toContain('0..255')
    }
  })

  test('keeps the mixture sparse: experts convolve kept patches alone', async () => {
    const model = trained(networkCases[4]!.build())
    const { bytes, operations } = await exportOnnx(model)
    expect(operations).toMatchObject({ TopK: 1, ScatterND: 1 })
    expect(operations).not.toHaveProperty('Where')
    const { graph } = await decodeOnnx(bytes)
    const scatter = graph.node.find(({ opType }) => opType === 'ScatterND')
    // 5 of 16 patches of 2x2 pixels for each of 4 experts: 80 rows an image reach the map, of its 64 x 4.
    const updates = scatter?.input[2] as string
    const probe = await probeShape(bytes, model, updates)
    expect(probe).toEqual([80, 16])
  })

  test('makes no map where only its mean is read: kept patches are summed', async () => {
    const model = trained(networkCases[2]!.build())
    const { bytes, operations } = await exportOnnx(model)
    expect(operations).toMatchObject({ TopK: 1, ReduceSum: 1 })
    expect(Object.keys(operations)).not.toEqual(expect.arrayContaining(['ScatterND']))
    expect(Object.keys(operations)).not.toEqual(expect.arrayContaining(['ReduceMean']))
    const { graph } = await decodeOnnx(bytes)
    const sums = graph.node.filter(({ opType }) => opType === 'ReduceSum')
    // 1 image, 4 experts, 5 patches of 2x2 pixels, 16 channels each.
    const shape = await probeShape(bytes, model, sums.at(-1)?.input[0] as string)
    expect(shape).toEqual([1, 4, 20, 16])
  })

  test('has the factor of a mean folded into the dense layer after it, computed by hand', async () => {
    // One expert keeps 1 of 2 pixels, the larger one, at gate 1, and doubles it; the dense layer gives 3 mean + 1.
    const layer = patchMoE({
      ...{ numExperts: 1, patchesPerExpert: 1, patchSize: 1, filters: 1, kernelSize: 1, gate: 'uniform' },
      name: 'mixture',
    })
    const input = tf.input({ shape: [1, 2, 1] })
    const pooled = tf.layers.globalAveragePooling2d({}).apply(layer.apply(input)) as tf.SymbolicTensor
    const model = tf.model({
      inputs: input,
      outputs: tf.layers.dense({ units: 1 }).apply(pooled) as tf.SymbolicTensor,
    })
    model.setWeights([tf.ones([1, 1, 1, 1]), tf.fill([1, 1, 1, 1], 2), tf.fill([1, 1], 3), tf.ones([1])])
    const { bytes, operations } = await exportOnnx(model)
    expect(operations).toMatchObject({ Gemm: 1 })
    const answered = await answer(bytes, model, tf.tensor4d([4, 5], [1, 1, 2, 1]))
    // (0 + 2 * 5) / 2 * 3 + 1.
    expect([...answered.data]).toEqual([16])
  })

  test('has BatchNorm folded into the convolution before it, computed by hand', async () => {
    const input = tf.input({ shape: [2, 2, 1] })
    const convolved = tf.layers.conv2d({ filters: 1, kernelSize: 1 }).apply(input)
    const normed = tf.layers.batchNormalization({ epsilon: 0.0625 }).apply(convolved) as tf.SymbolicTensor
    const model = tf.model({ inputs: input, outputs: normed })
    // kernel 2, bias 1; gamma 3, beta 4, mean 5, variance 2.1875: deviation sqrt(2.25) = 1.5, scale 3 / 1.5 = 2.
    const [kernel, bias, gamma, beta, mean, variance] = [2, 1, 3, 4, 5, 2.1875].map(value =>
      tf.tensor1d([value]),
    )
    model.layers[1]?.setWeights([kernel!.reshape([1, 1, 1, 1]), bias!])
    model.layers[2]?.setWeights([gamma!, beta!, mean!, variance!])
    const { bytes, operations } = await exportOnnx(model)
    expect(operations).toEqual({ Conv: 1, Identity: 1, Transpose: 2 })
    const { graph } = await decodeOnnx(bytes)
    const numbers = graph.initializer.map(
      ({ rawData }) => new Float32Array(Uint8Array.from(rawData).buffer)[0],
    )
    // 2 * 2, and 1 * 2 + (4 - 5 * 2).
    expect(numbers).toEqual([4, -4])
  })

  test('leaves BatchNorm as one operation where something else reads the convolution', async () => {
    const input = tf.input({ shape: [4, 4, 2] })
    const convolved = tf.layers.conv2d({ filters: 2, kernelSize: 1 }).apply(input) as tf.SymbolicTensor
    const normed = tf.layers.batchNormalization().apply(convolved) as tf.SymbolicTensor
    const sum = tf.layers.add().apply([convolved, normed]) as tf.SymbolicTensor
    const model = trained(tf.model({ inputs: input, outputs: sum }))
    const { bytes, operations } = await exportOnnx(model)
    expect(operations).toMatchObject({ BatchNormalization: 1, Add: 1 })
    const { x, y } = asked(model, 2)
    expect(difference(y, (await answer(bytes, model, x)).data)).toBeLessThan(1e-5)
  })

  test('is the same bytes each time, and leaves no tensors behind', async () => {
    const model = trained(networkCases[3]!.build())
    const before = tf.memory().numTensors
    const { bytes } = await exportOnnx(model)
    expect(tf.memory().numTensors).toBe(before)
    expect(Buffer.compare(bytes, (await exportOnnx(model)).bytes)).toBe(0)
  })
})

/** The shape of a value inside a file, by making it an output. */
async function probeShape(
  bytes: Uint8Array,
  model: tf.LayersModel,
  name: string,
): Promise<readonly number[]> {
  const { messageType } = await import('../../../src/export/protobuf-messages.js')
  const { onnxMessages } = await import('../../../src/export/onnx/messages.js')
  const type = await messageType(onnxMessages, 'ModelProto')
  const message = type.decode(bytes) as unknown as { graph: { output: object[] } }
  message.graph.output.push({ name, type: { tensorType: { elemType: 1 } } })
  const probed = type.encode(message).finish()
  const outputs = await runOnnx(probed, { [model.inputNames[0] as string]: noise([null, 32, 32, 3], 1, 1) })
  return outputs[name]!.shape
}

describe('what cannot be exported', () => {
  test('a layer of another kind is named with its position before anything is computed', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.reshape({ targetShape: [4, 4], inputShape: [16] }),
        tf.layers.lstm({ units: 2, name: 'memory' }),
        tf.layers.dense({ units: 2 }),
      ],
    })
    await expect(exportOnnx(model)).rejects.toThrow(
      /^exportGraph: layer "memory" \(\d of \d layers\) must be of a kind that can be exported, got LSTM \(these can: .*Conv2D.*PatchMoE/,
    )
  })

  test('also inside a nested model', async () => {
    const inner = tf.sequential({
      name: 'body',
      layers: [tf.layers.conv1d({ filters: 2, kernelSize: 3, inputShape: [8, 2], name: 'line' })],
    })
    const model = tf.sequential({ layers: [inner, tf.layers.flatten()] })
    await expect(exportOnnx(model)).rejects.toThrow(
      /layer "line" \(\d of \d layers of body\) must be of a kind that can be exported, got Conv1D/,
    )
  })

  test.each([
    [
      'dataFormat channelsFirst',
      tf.layers.maxPooling2d({ dataFormat: 'channelsFirst', name: 'odd' }),
      'MaxPooling2D',
    ],
    [
      'axis 1, for which the backends of tfjs compute different things',
      tf.layers.batchNormalization({ axis: 1, name: 'odd' }),
      'BatchNormalization',
    ],
    ['axis [1]', tf.layers.layerNormalization({ axis: [1], name: 'odd' }), 'LayerNormalization'],
    ['dataFormat channelsFirst', tf.layers.flatten({ dataFormat: 'channelsFirst', name: 'odd' }), 'Flatten'],
  ])('%s', async (got, layer, className) => {
    const input = tf.input({ shape: [6, 6, 2] })
    const model = tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor })
    await expect(exportOnnx(model)).rejects.toThrow(
      `exportGraph: layer "odd" (2 of 2 layers) must be one that can be exported, got ${className} with ${got}`,
    )
  })

  test('inputs of unequal rank', async () => {
    const [map, vector] = [tf.input({ shape: [4, 4, 3] }), tf.input({ shape: [3] })]
    const sum = tf.layers.add({ name: 'uneven' }).apply([map, vector]) as tf.SymbolicTensor
    const model = tf.model({ inputs: [map, vector], outputs: sum })
    await expect(exportOnnx(model)).rejects.toThrow('got Add with inputs of 4 and 2 axes')
  })

  test('a layer without the weight that its kind has', async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2], name: 'bare' })] })
    Object.defineProperty(model.layers[0], 'weights', { value: [] })
    await expect(exportOnnx(model)).rejects.toThrow(
      'exportGraph: layer "bare" (1 of 1 layers) must be one that can be exported, got Dense with no weight kernel',
    )
  })

  test('images of any size, an unknown option, a model without shapes, too many weights', async () => {
    const free = tf.input({ shape: [null, null, 3], name: 'photo' })
    const pooled = tf.layers.globalAveragePooling2d({}).apply(free) as tf.SymbolicTensor
    const model = tf.model({ inputs: free, outputs: pooled, name: 'any' })
    await expect(exportOnnx(model)).rejects.toThrow(
      'exportGraph: input photo must have a fixed size, got [any, any, 3]',
    )
    await expect(exportOnnx(model, { layout: 'nchw ' as 'nchw' })).rejects.toThrow(
      'exportGraph: layout must be nhwc or nchw, got nchw ',
    )
    await expect(exportOnnx(model, { pixels: 'uint16' as 'uint8' })).rejects.toThrow(
      'exportGraph: pixels must be float32 or uint8, got uint16',
    )
    const unbuilt = { ...tf.sequential(), name: 'unbuilt', countParams: () => 0, outputs: [] }
    await expect(exportOnnx(unbuilt as unknown as tf.LayersModel)).rejects.toThrow(
      'exportGraph: model must have known shapes, got unbuilt without outputs',
    )
    const huge = { name: 'huge', countParams: () => 6e8 } as unknown as tf.LayersModel
    await expect(exportOnnx(huge)).rejects.toThrow(
      'exportOnnx: weights must take at most 2147483647 bytes, got 2400000000 (huge)',
    )
  })
})

describe('a mixture in ONNX Runtime', () => {
  test.each(mixtureCases)(
    'answers NaN wherever a number that is not finite lies: $name',
    async ({ build }) => {
      const model = trained(build())
      const x = damagedImages(model.inputs[0]?.shape ?? [])
      const batch = x.shape[0] as number
      const { data } = await answer((await exportOnnx(model)).bytes, model, x)
      expect(hasNaN(data, batch)).toEqual(Array.from({ length: batch }, (_, i) => i < batch - 1))
    },
  )
})
