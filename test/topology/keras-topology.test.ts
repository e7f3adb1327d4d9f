import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, test } from 'vitest'
import { kerasTopology } from '../../src/topology/keras-topology.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(() => useTestBackend())

const float32 = {
  module: 'keras',
  class_name: 'DTypePolicy',
  config: { name: 'float32' },
  registered_name: null,
}
type Json = Record<string, unknown>

/** A layer as Keras 3 writes it. */
function layer(class_name: string, name: string, config: Json = {}): Json {
  return {
    module: 'keras.layers',
    class_name,
    config: { name, trainable: true, dtype: float32, ...config },
    registered_name: null,
    build_config: { input_shape: [null, 4] },
  }
}

const input = (name: string, shape: number[]): Json => ({
  module: 'keras.layers',
  class_name: 'InputLayer',
  config: {
    batch_shape: [null, ...shape],
    dtype: 'float32',
    sparse: false,
    ragged: false,
    name,
    optional: false,
  },
  registered_name: null,
})

const tensor = (name: string, call = 0, output = 0): Json => ({
  class_name: '__keras_tensor__',
  config: { shape: [null, 4], dtype: 'float32', keras_history: [name, call, output] },
})

/** A layer of a functional model, with the arguments of each of its calls. */
const called = (of: Json, ...calls: unknown[][]): Json => ({
  ...of,
  name: (of.config as Json).name,
  inbound_nodes: calls.map(args => ({ args, kwargs: { training: false, mask: null } })),
})

const functional = (name: string, layers: Json[], input_layers: unknown, output_layers: unknown): Json => ({
  module: 'keras.src.models.functional',
  class_name: 'Functional',
  config: { name, trainable: true, layers, input_layers, output_layers },
  registered_name: 'Functional',
  build_config: { input_shape: null },
  compile_config: {},
})

const sequential = (name: string, layers: Json[], more: Json = {}): Json => ({
  module: 'keras',
  class_name: 'Sequential',
  config: { name, trainable: true, dtype: float32, layers, ...more },
  registered_name: null,
})

const built = (config: unknown): Promise<tf.LayersModel> =>
  tf.models.modelFromJSON(kerasTopology(config, 'model.json') as never)

/** A dense layer that multiplies by a number. */
const times = (name: string, factor: number): Json =>
  layer('Dense', name, {
    units: 1,
    use_bias: false,
    kernel_initializer: {
      module: 'keras.initializers',
      class_name: 'Constant',
      config: { value: factor },
      registered_name: null,
    },
  })

async function outputs(config: unknown, ...inputs: number[]): Promise<number[]> {
  const model = await built(config)
  const given = inputs.map(x => tf.tensor2d([[x]]))
  const y = model.predict(given.length === 1 ? (given[0] as tf.Tensor) : given)
  return [y].flat().map(value => value.dataSync()[0] as number)
}

describe('a sequential model of Keras 3', () => {
  test('is built, with its settings under the names of tfjs-layers', async () => {
    const model = await built(
      sequential('net', [
        input('pixels', [8, 8, 3]),
        layer('Conv2D', 'c', {
          filters: 2,
          kernel_size: [3, 3],
          groups: 1,
          activation: 'silu',
          kernel_regularizer: { module: 'keras.regularizers', class_name: 'L2', config: { l2: 0.25 } },
          kernel_initializer: {
            module: 'keras.initializers',
            class_name: 'LecunNormal',
            config: { seed: { class_name: 'SeedGenerator', config: {} }, input_axes: null },
          },
        }),
        layer('LeakyReLU', 'leak', { negative_slope: 0.125 }),
        layer('GlobalAveragePooling2D', 'gap', { keepdims: false }),
      ]),
    )
    expect(model.inputs[0]?.shape).toEqual([null, 8, 8, 3])
    expect(model.layers.map(({ name }) => name)).toEqual(['pixels', 'c', 'leak', 'gap'])
    const [, convolution, leak] = model.layers.map(of => of.getConfig())
    expect(convolution).toMatchObject({
      activation: 'swish',
      kernelRegularizer: { className: 'L1L2', config: { l1: 0, l2: 0.25 } },
    })
    expect(leak).toMatchObject({ alpha: 0.125 })
  })

  test('begins with the shape that it was built with', async () => {
    const flat = [layer('Flatten', 'flat'), layer('Dense', 'head', { units: 3 })]
    const model = await built(sequential('net', flat, { build_input_shape: [null, 2, 5] }))
    expect(model.weights[0]?.shape).toEqual([10, 3])
    expect(() => kerasTopology(sequential('net', flat), 'a.json')).toThrow(
      'a.json: model "net" must know the shape of its input, got none (build it in Keras',
    )
  })

  test.each(['mixed_float16', 'bfloat16', 'float64'])('of %s computes in float32', async name => {
    const policy = { class_name: 'DTypePolicy', config: { name } }
    const topology = kerasTopology(
      sequential('net', [input('x', [4]), layer('Dense', 'd', { units: 1, dtype: policy })]),
      'a',
    )
    expect(topology.config).toMatchObject({ layers: [{}, { config: { dtype: 'float32' } }] })
  })

  test('may wrap layers', async () => {
    const inner = layer('Dense', 'inner', { units: 3, activation: 'silu' })
    const model = await built(
      sequential('net', [input('x', [5, 4]), layer('TimeDistributed', 'each', { layer: inner })]),
    )
    expect(model.outputs[0]?.shape).toEqual([null, 5, 3])
  })
})

describe('a functional model of Keras 3', () => {
  const x = called(input('x', [1]))

  test('shares layers: each call is of its own tensor', async () => {
    const double = called(times('double', 2), [tensor('x')], [tensor('triple')])
    const triple = called(times('triple', 3), [tensor('double')])
    const sum = called(layer('Add', 'sum'), [[tensor('double', 0), tensor('double', 1)]])
    // 2x + 2(3(2x))
    expect(await outputs(functional('m', [x, double, triple, sum], ['x', 0, 0], ['sum', 0, 0]), 1)).toEqual([
      14,
    ])
  })

  test.each([
    ['sequential', sequential('inner', [input('i', [1]), times('five', 5)]), 0],
    [
      'functional',
      functional(
        'inner',
        [called(input('i', [1])), called(times('five', 5), [tensor('i')])],
        ['i', 0, 0],
        [['five', 0, 0]],
      ),
      // Keras counts the calls of functional models from 1 in its lists of outputs, and from 0 elsewhere.
      1,
    ],
  ])('calls a nested %s model several times', async (_, inner, first) => {
    const model = (end: number, output: string): Json =>
      functional(
        'm',
        [
          x,
          called(inner, [tensor('x')], [tensor('inner', 0)]),
          called(times('seven', 7), [tensor('inner', 1)]),
        ],
        [['x', 0, 0]],
        [output, end, 0],
      )
    expect(await outputs(model(0, 'seven'), 1)).toEqual([175])
    const doubled = functional(
      'm',
      [x, called(inner, [tensor('x')], [tensor('inner', 0)])],
      [['x', 0, 0]],
      [
        ['inner', first, 0],
        ['inner', first + 1, 0],
      ],
    )
    expect(await outputs(doubled, 1)).toEqual([5, 25])
  })

  test('names its inputs and outputs: their order is that of the names', async () => {
    const model = functional(
      'm',
      [
        x,
        called(input('y', [1])),
        called(times('ten', 10), [tensor('y')]),
        called(times('two', 2), [tensor('x')]),
      ],
      { b: ['x', 0, 0], a: ['y', 0, 0] },
      { q: ['ten', 0, 0], p: ['two', 0, 0] },
    )
    const { inputNames, outputNames } = await built(model)
    expect([inputNames, outputNames]).toEqual([
      ['y', 'x'],
      ['two', 'ten'],
    ])
  })

  const operation = (name: string, class_name: string, ...args: unknown[]): Json =>
    called({ module: 'keras.src.ops.numpy', class_name, config: { name }, registered_name: class_name }, args)

  test.each([
    ['named by their module', (of: Json) => of],
    ['without a module, as in a .h5', ({ module: _, ...of }: Json) => of],
  ])('computes with operations: (x / 4 - 1) * 3 + x, %s', async (_, written) => {
    const layers = [
      x,
      operation('quarter', 'TrueDivide', tensor('x'), 4),
      operation('less', 'Subtract', tensor('quarter'), 1),
      operation('thrice', 'Multiply', tensor('less'), 3),
      operation('sum', 'Add', tensor('thrice'), tensor('x')),
    ]
    const [first, ...operations] = layers
    const model = functional('m', [first as Json, ...operations.map(written)], ['x', 0, 0], ['sum', 0, 0])
    expect(await outputs(model, 20)).toEqual([32])
  })

  test.each([
    [
      'an operation that no layer does',
      operation('e', 'Exp', tensor('x')),
      'a.json: layer "e" must be a layer, got the operation "Exp" (put it into a layer of Keras)',
    ],
    [
      'a tensor passed by name',
      { ...layer('Dense', 'e'), name: 'e', inbound_nodes: [{ args: [], kwargs: { mask: tensor('x') } }] },
      'a.json: layer "e": argument "mask" must be no tensor, got one (tfjs-layers passes inputs only)',
    ],
    [
      'a reference that is none',
      called(layer('Dense', 'e'), [tensor('x', -1)]),
      'a.json: layer "e": a tensor must be [layer name, call, output], got ["x", -1, 0]',
    ],
    [
      'groups',
      called(layer('Conv2D', 'e', { groups: 4 }), [tensor('x')]),
      'a.json: layer "e": groups must be 1, got 4 (tfjs-layers)',
    ],
    [
      'a dilated depthwise convolution, which tfjs-layers computes without dilation',
      called(layer('DepthwiseConv2D', 'e', { dilation_rate: [2, 1] }), [tensor('x')]),
      'a.json: layer "e": dilation_rate must be 1 or [1, 1], got [2, 1] (tfjs-layers)',
    ],
    [
      'the same as a tuple of Keras 3',
      called(layer('DepthwiseConv2D', 'e', { dilation_rate: { class_name: '__tuple__', items: [2, 2] } }), [
        tensor('x'),
      ]),
      'a.json: layer "e": dilation_rate must be 1 or [1, 1], got [2, 2] (tfjs-layers)',
    ],
    [
      'a function of Python',
      called(layer('Lambda', 'e', { function: { class_name: '__lambda__', config: {} } }), [tensor('x')]),
      'a.json: layer "e": function must be named, got a function of Python',
    ],
    [
      'quantized weights',
      called(layer('Dense', 'e', { dtype: { config: { name: 'int8_from_float32' } } }), [tensor('x')]),
      'a.json: layer "e": weights must be floats, got the type "int8_from_float32"',
    ],
  ])('is refused with %s', (_, of, message) => {
    expect(() => kerasTopology(functional('m', [x, of], ['x', 0, 0], ['e', 0, 0]), 'a.json')).toThrow(message)
  })

  test.each<[unknown]>([[1], [[1, 1]], [{ class_name: '__tuple__', items: [1, 1] }]])(
    'takes a depthwise convolution with dilation %j',
    dilation_rate => {
      const of = called(layer('DepthwiseConv2D', 'e', { dilation_rate }), [tensor('x')])
      expect(() => kerasTopology(functional('m', [x, of], ['x', 0, 0], ['e', 0, 0]), 'a.json')).not.toThrow()
    },
  )
})

describe('a model of Keras 2', () => {
  test('has calls without their outer list, axes in lists and policies', async () => {
    const of = (class_name: string, name: string, config: Json, inbound_nodes: unknown[]): Json => ({
      class_name,
      name,
      config: { name, ...config },
      inbound_nodes,
    })
    const policy = { class_name: 'Policy', config: { name: 'mixed_float16' } }
    const model = await built({
      class_name: 'Functional',
      config: {
        name: 'm',
        layers: [
          of('InputLayer', 'x', { batch_input_shape: [null, 3] }, []),
          of('BatchNormalization', 'bn', { axis: [1], dtype: policy }, [[['x', 0, 0, {}]]]),
          of('Dense', 'd', { units: 2, kernel_regularizer: { class_name: 'L1', config: { l1: 0.5 } } }, [
            ['bn', 0, 0, { training: true }],
          ]),
        ],
        input_layers: [['x', 0, 0]],
        output_layers: [['d', 0, 0]],
      },
    })
    expect(model.getLayer('bn').getConfig()).toMatchObject({ axis: 1 })
    expect(model.getLayer('d').inboundNodes[0]?.callArgs).toEqual({ training: true })
  })
})

describe('kerasTopology', () => {
  test('leaves what tfjs-layers wrote as it was', () => {
    const inner = tf.sequential({
      name: 'inner',
      layers: [tf.layers.dense({ units: 4, inputShape: [4], activation: 'softmax' }), tf.layers.leakyReLU()],
    })
    const x = tf.input({ shape: [4] })
    const once = inner.apply(tf.layers.dense({ units: 4, kernelRegularizer: 'l1l2' }).apply(x))
    const model = tf.model({ inputs: x, outputs: inner.apply(once) as tf.SymbolicTensor })
    const { class_name, config } = model.toJSON(null, false) as Json
    expect(kerasTopology({ class_name, config }, 'a.json')).toEqual({ class_name, config })
  })

  test.each([
    [null, 'a.json: model must be an object, got null'],
    [
      { class_name: 'Sequential', config: { layers: 3, name: 'n' } },
      'a.json: layers of "n" must be a list, got 3',
    ],
    [
      { class_name: 'MyModel', config: {} },
      'a.json: model must be of the class Sequential or Functional, got "MyModel"',
    ],
    [
      sequential('n', [{ class_name: 'Dense' }]),
      'a.json: config of layer nothing must be an object, got nothing',
    ],
  ])('refuses %j', (config, message) => {
    expect(() => kerasTopology(config, 'a.json')).toThrow(message)
  })

  test('ends where models are nested without end', () => {
    let model = sequential('n', [input('x', [1])])
    for (let i = 0; i < 5000; i++) model = sequential('n', [model])
    expect(() => kerasTopology(model, 'a.json')).toThrow(
      'a.json: models must be nested at most 32 deep, got more',
    )
  })
})
