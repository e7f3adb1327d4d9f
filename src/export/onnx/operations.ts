import type { Size2D } from '../../shapes.js'
import {
  type Constant,
  type Count,
  isConstant,
  type Layout,
  type Operation,
  type Sliding,
  samePadding,
  type UnaryFunction,
  type Value,
  valuesRead,
} from '../graph/graph.js'
import { onnxType, tensorMessage } from './messages.js'
import { roundedProducts, weightsOf } from './product-weights.js'
import type { OnnxWriter } from './writer.js'

type Kind = Operation['kind']
type OfKind<K extends Kind> = Extract<Operation, { kind: K }>
type Write<K extends Kind> = (operation: OfKind<K>, outputs: readonly Value[], writer: OnnxWriter) => void

/** Adds an operation of the graph to an ONNX graph. */
export function writeOnnx(operation: Operation, outputs: readonly Value[], writer: OnnxWriter): void {
  const write = writers[operation.kind] as Write<Kind>
  write(operation, outputs, writer)
}

const unaryNames: Readonly<Record<UnaryFunction, string>> = {
  relu: 'Relu',
  sigmoid: 'Sigmoid',
  tanh: 'Tanh',
  elu: 'Elu',
  selu: 'Selu',
  softplus: 'Softplus',
  softsign: 'Softsign',
  exp: 'Exp',
  erf: 'Erf',
  sqrt: 'Sqrt',
}
const binaryNames = { add: 'Add', sub: 'Sub', mul: 'Mul', div: 'Div', max: 'Max', min: 'Min' } as const
const reduceNames = { mean: 'ReduceMean', max: 'ReduceMax', sum: 'ReduceSum' } as const

const writers: { readonly [K in Kind]: Write<K> } = {
  convolution(operation, [y], writer) {
    const { x, kernel, bias, depthwise } = operation
    const [height = 1, width = 1, channels = 1] = kernel.shape
    const flat = depthwise
      ? { data: kernel.data, shape: [height, width, 1, kernel.data.length / (height * width)] }
      : kernel
    const inputs = [
      writer.named(x, 'nchw'),
      ...weightsOf({ x, kernel: flat, bias }, y!, writer, [3, 2, 0, 1]),
    ]
    const name = writer.emit('Conv', inputs, y!.name, {
      kernel_shape: [height, width],
      ...slidingAttributes(operation, x, [height, width]),
      group: depthwise ? channels : 1,
    })
    writer.define(y!, name, 'nchw')
  },

  'transposed-convolution'({ x, kernel, strides, padding }, [y], writer) {
    const [height = 1, width = 1] = kernel.shape
    const extra = (axis: 0 | 1) => ([height, width][axis] as number) - strides[axis]
    const cut = [0, 1].map(axis => (padding === 'same' ? Math.max(extra(axis as 0 | 1), 0) : 0))
    const weights = writer.constant(kernel, `${y!.name}_kernel`, [3, 2, 0, 1])
    const name = writer.emit('ConvTranspose', [writer.named(x, 'nchw'), weights], y!.name, {
      kernel_shape: [height, width],
      strides: [...strides],
      pads: [...cut.map(side => Math.floor(side / 2)), ...cut.map(side => Math.ceil(side / 2))],
      output_padding: [0, 1].map(axis => Math.max(-extra(axis as 0 | 1), 0)),
    })
    writer.define(y!, name, 'nchw')
  },

  dense({ x, kernel, bias }, [y], writer) {
    const [weights = '', shift] = weightsOf({ x, kernel, bias }, y!, writer)
    const inputs = [writer.named(x), weights]
    if (shift !== undefined) {
      if (x.shape.length === 2) return writer.define(y!, writer.emit('Gemm', [...inputs, shift], y!.name))
      const product = writer.emit('MatMul', inputs, `${y!.name}_product`)
      return writer.define(y!, writer.emit('Add', [product, shift], y!.name))
    }
    writer.define(y!, writer.emit('MatMul', inputs, y!.name))
  },

  'batched-product'({ x, matrices }, [y], writer) {
    const steps = isConstant(matrices) ? writer.steps(x, y!) : undefined
    if (steps) return writer.define(y!, roundedProducts(x, matrices as Constant, steps, y!, writer))
    const right = isConstant(matrices)
      ? writer.constant(matrices, `${y!.name}_matrices`)
      : writer.named(matrices)
    writer.define(y!, writer.emit('MatMul', [writer.named(x), right], y!.name))
  },

  affine({ x, scale, shift }, [y], writer) {
    const layout = computedLayout([x], writer)
    if (layout === 'nchw') return writer.define(y!, normalized(x, scale, shift, y!, writer), layout)
    const rank = x.shape.length
    const factor = writer.operand(scale, layout, rank)
    const product = writer.emit('Mul', [writer.named(x, layout), factor], `${y!.name}_scaled`)
    const sum = writer.emit('Add', [product, writer.operand(shift, layout, rank)], y!.name)
    writer.define(y!, sum, layout)
  },

  unary({ x, function: name }, [y], writer) {
    const layout = computedLayout([x], writer)
    writer.define(y!, writer.emit(unaryNames[name], [writer.named(x, layout)], y!.name), layout)
  },

  binary(operation, [y], writer) {
    const values = valuesRead(operation)
    // Values of different ranks are aligned by their last axes, which must be in the same order: that of the graph.
    const aligned = values.every(({ shape }) => shape.length === y!.shape.length)
    const layout = aligned ? computedLayout(values, writer) : 'nhwc'
    const inputs = [operation.a, operation.b].map(side => writer.operand(side, layout, y!.shape.length))
    writer.define(y!, writer.emit(binaryNames[operation.function], inputs, y!.name), layout)
  },

  clip({ x, low, high }, [y], writer) {
    const layout = computedLayout([x], writer)
    const limits = [writer.float(low, 'low'), writer.float(high, 'high')]
    writer.define(y!, writer.emit('Clip', [writer.named(x, layout), ...limits], y!.name), layout)
  },

  'leaky-relu'({ x, slope }, [y], writer) {
    const layout = computedLayout([x], writer)
    const name = writer.emit('LeakyRelu', [writer.named(x, layout)], y!.name, { alpha: { float: slope } })
    writer.define(y!, name, layout)
  },

  softmax({ x, logarithm }, [y], writer) {
    const layout = computedLayout([x], writer)
    const axis = axisIn(layout, x.shape.length - 1)
    const opType = logarithm ? 'LogSoftmax' : 'Softmax'
    writer.define(y!, writer.emit(opType, [writer.named(x, layout)], y!.name, { axis }), layout)
  },

  pool(operation, [y], writer) {
    const { x, size, function: name } = operation
    const { strides, pads } = slidingAttributes(operation, x, size)
    const opType = name === 'max' ? 'MaxPool' : 'AveragePool'
    const pooled = writer.emit(opType, [writer.named(x, 'nchw')], y!.name, {
      kernel_shape: [...size],
      strides,
      pads,
    })
    writer.define(y!, pooled, 'nchw')
  },

  reduce({ x, function: name, axes, keep }, [y], writer) {
    const layout = keep || y!.shape.length < 3 ? computedLayout([x], writer) : 'nhwc'
    const axesInLayout = axes.map(axis => axisIn(layout, axis, x.shape.length)).sort((a, b) => a - b)
    const keepdims = keep ? 1 : 0
    const source = writer.named(x, layout)
    // Of the three, this version of the format takes the axes of the sum alone as an input.
    const reduced =
      name === 'sum'
        ? writer.emit(reduceNames[name], [source, writer.integers(axesInLayout, 'axes')], y!.name, {
            keepdims,
          })
        : writer.emit(reduceNames[name], [source], y!.name, { axes: axesInLayout, keepdims })
    writer.define(y!, reduced, keep ? layout : 'nhwc')
  },

  concat({ inputs, axis }, [y], writer) {
    const layout = computedLayout(inputs, writer)
    const names = inputs.map(input => writer.named(input, layout))
    const joined = writer.emit('Concat', names, y!.name, { axis: axisIn(layout, axis, y!.shape.length) })
    writer.define(y!, joined, layout)
  },

  reshape({ x, shape, computed }, [y], writer) {
    const sides = shape.map((side, axis): Count => (axis === computed?.axis ? computed.length : (side ?? -1)))
    const target = shapeOf(sides, `${y!.name}_shape`, writer)
    writer.define(y!, writer.emit('Reshape', [writer.named(x), target], y!.name))
  },

  transpose({ x, order }, [y], writer) {
    const turnsMap = x.shape.length === 4
    if (turnsMap && order.join() === '0,2,3,1') return writer.define(y!, writer.named(x), 'nchw')
    writer.define(y!, writer.emit('Transpose', [writer.named(x)], y!.name, { perm: [...order] }))
  },

  'channel-rows'({ x }, [y], writer) {
    const sides = writer.integers([-1, ...(y!.shape.slice(1) as number[])], `${y!.name}_shape`)
    writer.define(y!, writer.emit('Reshape', [writer.named(x, 'nchw'), sides], y!.name))
  },

  pad({ x, amounts }, [y], writer) {
    const layout = computedLayout([x], writer)
    const amountsInLayout = inLayout(amounts, layout)
    const pads = [...amountsInLayout.map(([before]) => before), ...amountsInLayout.map(([, after]) => after)]
    const inputs = [writer.named(x, layout), writer.integers(pads, `${y!.name}_pads`)]
    writer.define(y!, writer.emit('Pad', inputs, y!.name), layout)
  },

  crop({ x, amounts }, [y], writer) {
    const cropped = [1, 2, 3].filter(axis => axis === 1 || amounts[axis]?.some(amount => amount > 0))
    const sides = cropped.map(axis => [
      amounts[axis]?.[0] ?? 0,
      (x.shape[axis] ?? 0) - (amounts[axis]?.[1] ?? 0),
    ])
    const layout = computedLayout([x], writer)
    const axes = cropped.map(axis => axisIn(layout, axis, 4))
    const parts = [sides.map(([start]) => start as number), sides.map(([, end]) => end as number), axes]
    const inputs = parts.map(part => writer.integers(part, 'crop'))
    writer.define(y!, writer.emit('Slice', [writer.named(x, layout), ...inputs], y!.name), layout)
  },

  resize({ x, factors, mode }, [y], writer) {
    const scales = writer.constant({ data: Float32Array.of(1, 1, ...factors), shape: [4] }, 'factors')
    const name = writer.emit('Resize', [writer.named(x, 'nchw'), '', scales], y!.name, {
      mode: mode === 'bilinear' ? 'linear' : 'nearest',
      coordinate_transformation_mode: 'asymmetric',
      nearest_mode: 'floor',
    })
    writer.define(y!, name, 'nchw')
  },

  'to-float'({ x }, [y], writer) {
    const layout = computedLayout([x], writer)
    const name = writer.emit('Cast', [writer.named(x, layout)], y!.name, { to: onnxType.float })
    writer.define(y!, name, layout)
  },

  top({ x, count }, [values, indices], writer) {
    const list = typeof count === 'number' ? writer.integers([count], 'count') : listOf(count, writer)
    const inputs = [writer.named(x), list]
    const hints = [values!.name, indices!.name]
    const names = writer.emitAll('TopK', inputs, hints, { axis: -1, largest: 1, sorted: 1 })
    writer.define(values!, names[0] as string)
    writer.define(indices!, names[1] as string)
  },

  gather({ table, rows }, [y], writer) {
    const inputs = [writer.operand(table, 'nhwc', table.shape.length), writer.named(rows)]
    writer.define(y!, writer.emit('Gather', inputs, y!.name, { axis: 0 }))
  },

  'gather-by-image'({ table, rows }, [y], writer) {
    const axes = writer.integers([-1], 'axes')
    const places = writer.emit('Unsqueeze', [writer.named(rows), axes], `${y!.name}_places`)
    const inputs = [writer.named(table), places]
    writer.define(y!, writer.emit('GatherND', inputs, y!.name, { batch_dims: 1 }))
  },

  places({ x, equals }, [y], writer) {
    const inputs = [writer.named(x), writer.integers([equals], 'equals')]
    const isEqual = writer.emit('Equal', inputs, `${y!.name}_equal`)
    const row = writer.emit('NonZero', [isEqual], `${y!.name}_row`)
    writer.define(y!, writer.emit('Reshape', [row, writer.integers([-1], 'list')], y!.name))
  },

  'batch-starts'({ like, step }, [y], writer) {
    const batch = batchLength(like, writer, y!.name)
    const end = writer.emit('Mul', [batch, writer.integers([step], 'step', [])], `${y!.name}_end`)
    const start = writer.integers([0], 'start', [])
    writer.define(y!, writer.emit('Range', [start, end, writer.integers([step], 'step', [])], y!.name))
  },

  /** A product with zeros, one operation: infinity times 0 is NaN. */
  'not-finite'({ x }, [y], writer) {
    const length = x.shape.at(-1) as number
    const zeros = writer.constant({ data: new Float32Array(length), shape: [length, 1] }, `${y!.name}_zeros`)
    writer.define(y!, writer.emit('MatMul', [writer.named(x), zeros], y!.name))
  },

  scatter({ rows, updates, like, rowsPerImage }, [y], writer) {
    const width = updates.shape[1] as number
    const batch = batchLength(like, writer, y!.name, [1])
    const count = writer.emit('Mul', [batch, writer.integers([rowsPerImage], 'rows')], `${y!.name}_rows`)
    const shape = writer.emit('Concat', [count, writer.integers([width], 'width')], `${y!.name}_shape`, {
      axis: 0,
    })
    const value = tensorMessage(Float32Array.of(0), [1])
    const zeros = writer.emit('ConstantOfShape', [shape], `${y!.name}_zeros`, { value })
    const positions = writer.emit(
      'Unsqueeze',
      [writer.named(rows), writer.integers([1], 'axes')],
      `${y!.name}_places`,
    )
    writer.define(y!, writer.emit('ScatterND', [zeros, positions, writer.named(updates)], y!.name))
  },

  /** All experts in one grouped convolution: (B L, K C, height, width) to (B L, K F, h, w). */
  'expert-convolution'({ windows, kernel, padding, count }, [y], writer) {
    const [, experts = 1, , height, width, channels] = windows.shape as number[]
    const [, , , outHeight, outWidth, filters] = y!.shape as number[]
    const [kernelHeight = 1, kernelWidth = 1] = kernel.shape
    const side = (reach: number) => (padding === 'same' ? (reach - 1) / 2 : 0)
    const reshaped = (name: string, sides: readonly (number | undefined)[], hint: string) =>
      writer.emit('Reshape', [name, writer.integers(sides as number[], 'shape')], `${y!.name}_${hint}`)
    const sorted = writer.emit('Transpose', [writer.named(windows)], `${y!.name}_sorted`, {
      perm: [0, 2, 1, 5, 3, 4],
    })
    const stacked = reshaped(sorted, [-1, experts * (channels ?? 1), height, width], 'stacked')
    const [steps, outputSteps] = [writer.steps(windows, y!), writer.steps(y!, y!)]
    const source = steps ? writer.rounded(stacked, steps, `${y!.name}_stacked`) : stacked
    const weights = weightsOf({ x: windows, kernel }, y!, writer, [3, 2, 0, 1])
    const pads = [side(kernelHeight), side(kernelWidth)]
    const product = writer.emit('Conv', [source, ...weights], `${y!.name}_experts`, {
      kernel_shape: [kernelHeight, kernelWidth],
      pads: [...pads, ...pads],
      strides: [1, 1],
      group: experts,
    })
    const convolved = outputSteps ? writer.rounded(product, outputSteps, `${y!.name}_experts`) : product
    const sides = [-1, count, experts, filters, outHeight, outWidth]
    const apart = writer.emit(
      'Reshape',
      [convolved, shapeOf(sides as Count[], `${y!.name}_shape`, writer)],
      `${y!.name}_apart`,
    )
    writer.define(y!, writer.emit('Transpose', [apart], y!.name, { perm: [0, 2, 1, 4, 5, 3] }))
  },
}

/** A computed number as a list of one. */
function listOf(count: Value, writer: OnnxWriter): string {
  return writer.emit('Reshape', [writer.named(count), writer.integers([1], 'list')], `${count.name}_list`)
}

/** The name of a shape, of which one side at most is computed. */
function shapeOf(sides: readonly Count[], hint: string, writer: OnnxWriter): string {
  const axis = sides.findIndex(side => typeof side !== 'number')
  if (axis < 0) return writer.integers(sides as number[], hint)
  const parts = [sides.slice(0, axis), sides.slice(axis + 1)].map(part =>
    part.length === 0 ? [] : [writer.integers(part as number[], 'sides')],
  )
  const lists = [...parts[0]!, listOf(sides[axis] as Value, writer), ...parts[1]!]
  return writer.emit('Concat', lists, hint, { axis: 0 })
}

/** ONNX Runtime keeps this in the order of channels that its convolutions like, with the ReLU that follows. */
function normalized(x: Value, scale: Constant, shift: Constant, y: Value, writer: OnnxWriter): string {
  const channels = scale.data.length
  const fixed = (value: number, hint: string) =>
    writer.constant({ data: new Float32Array(channels).fill(value), shape: [channels] }, `${y.name}_${hint}`)
  const ofChannels = ({ data }: Constant, hint: string) =>
    writer.constant({ data, shape: [channels] }, `${y.name}_${hint}`)
  const inputs = [
    writer.named(x, 'nchw'),
    ofChannels(scale, 'scale'),
    ofChannels(shift, 'shift'),
    fixed(0, 'mean'),
    fixed(1, 'variance'),
  ]
  return writer.emit('BatchNormalization', inputs, y.name, { epsilon: { float: 0 } })
}

/** The layout in which one of the maps has been computed already; other values have one layout only. */
function computedLayout(values: readonly Value[], writer: OnnxWriter): Layout {
  const maps = values.every(({ shape }) => shape.length === 4)
  return maps && values.some(value => writer.has(value, 'nchw')) ? 'nchw' : 'nhwc'
}

/** Position of an axis of (B,H,W,C) in a layout. */
function axisIn(layout: Layout, axis: number, rank = 4): number {
  return layout === 'nchw' && rank === 4 ? ([0, 2, 3, 1][axis] as number) : axis
}

function inLayout<T>(axes: readonly T[], layout: Layout): readonly T[] {
  return layout === 'nchw' ? [0, 3, 1, 2].map(axis => axes[axis] as T) : axes
}

function slidingAttributes({ strides, padding, dilations }: Sliding, x: Value, window: Size2D) {
  const sides = [0, 1].map(axis => {
    const length = x.shape[axis + 1] as number
    return padding === 'same'
      ? samePadding(length, window[axis] as number, strides[axis] as number, dilations[axis] as number)
      : [0, 0]
  })
  return {
    strides: [...strides],
    dilations: [...dilations],
    pads: [...sides.map(([before]) => before as number), ...sides.map(([, after]) => after as number)],
  }
}

/** The number of images: a scalar, or a tensor of the given shape. */
function batchLength(like: Value, writer: OnnxWriter, hint: string, shape: readonly number[] = []): string {
  const layout = like.shape.length === 4 && writer.has(like, 'nchw') ? 'nchw' : 'nhwc'
  const sides = writer.emit('Shape', [writer.named(like, layout)], `${hint}_sides`)
  const first = writer.integers([0], shape.length === 0 ? 'first' : 'firsts', [...shape])
  return writer.emit('Gather', [sides, first], `${hint}_images`, { axis: 0 })
}
