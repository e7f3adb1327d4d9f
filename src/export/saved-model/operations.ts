import {
  type Count,
  type ElementType,
  isConstant,
  type Operand,
  type Operation,
  type Sliding,
  type UnaryFunction,
  type Value,
} from '../graph/graph.js'
import { list, tensorflowType, text } from './messages.js'
import type { TensorFlowWriter } from './writer.js'

type Kind = Operation['kind']
type OfKind<K extends Kind> = Extract<Operation, { kind: K }>
/** Returns the name of the first output. */
type Write<K extends Kind> = (
  operation: OfKind<K>,
  hint: string,
  writer: TensorFlowWriter,
  y: Value,
) => string

/** Adds an operation of the graph to a TensorFlow graph. */
export function writeTensorFlow(
  operation: Operation,
  outputs: readonly Value[],
  writer: TensorFlowWriter,
): void {
  const [first, second] = outputs as [Value, Value | undefined]
  const write = writers[operation.kind] as Write<Kind>
  const name = write(operation, first.name, writer, first)
  writer.define(first, name)
  if (second) writer.define(second, `${name}:1`)
}

const INT = { type: tensorflowType.int }
const FLOAT = { type: tensorflowType.float }
const LONG = { type: tensorflowType.long }
const BOOL = { type: tensorflowType.bool }

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
const binaryNames = {
  add: 'AddV2',
  sub: 'Sub',
  mul: 'Mul',
  div: 'RealDiv',
  max: 'Maximum',
  min: 'Minimum',
} as const
const reduceNames = { mean: 'Mean', max: 'Max', sum: 'Sum' } as const

const writers: { readonly [K in Kind]: Write<K> } = {
  convolution(operation, hint, writer) {
    const { x, kernel, bias, depthwise } = operation
    const op = depthwise ? 'DepthwiseConv2dNative' : 'Conv2D'
    const inputs = [writer.named(x), writer.constant(kernel, `${hint}_kernel`)]
    const attributes = slidingAttributes(operation)
    if (!bias) return writer.floats(op, inputs, hint, attributes)
    const product = writer.floats(op, inputs, `${hint}_product`, attributes)
    return writer.floats('BiasAdd', [product, writer.constant(bias, `${hint}_bias`)], hint)
  },

  'transposed-convolution'({ x, kernel, strides, padding }, hint, writer, y) {
    const sides = [
      batchLength(x, writer, hint),
      ...y.shape.slice(1).map(side => scalar(side as number, writer)),
    ]
    const shape = packed(sides, `${hint}_shape`, writer)
    const inputs = [shape, writer.constant(kernel, `${hint}_kernel`), writer.named(x)]
    return writer.floats('Conv2DBackpropInput', inputs, hint, {
      strides: list([1, ...strides, 1]),
      padding: text(padding.toUpperCase()),
    })
  },

  dense({ x, kernel, bias }, hint, writer) {
    const weights = writer.constant(kernel, `${hint}_kernel`)
    const op = x.shape.length === 2 ? 'MatMul' : 'BatchMatMulV2'
    if (!bias) return writer.floats(op, [writer.named(x), weights], hint)
    const product = writer.floats(op, [writer.named(x), weights], `${hint}_product`)
    return writer.floats('BiasAdd', [product, writer.constant(bias, `${hint}_bias`)], hint)
  },

  'batched-product': ({ x, matrices }, hint, writer) => {
    const right = isConstant(matrices)
      ? writer.constant(matrices, `${hint}_matrices`)
      : writer.named(matrices)
    return writer.floats('BatchMatMulV2', [writer.named(x), right], hint)
  },

  affine({ x, scale, shift }, hint, writer) {
    const product = writer.floats('Mul', [writer.named(x), writer.named(scale)], `${hint}_scaled`)
    return writer.floats('AddV2', [product, writer.named(shift)], hint)
  },

  unary: ({ x, function: name }, hint, writer) => writer.floats(unaryNames[name], [writer.named(x)], hint),

  binary: ({ a, b, function: name }, hint, writer, y) =>
    writer.emit(binaryNames[name], [writer.named(a), writer.named(b)], hint, { T: typeAttribute(y.type) }),

  clip({ x, low, high }, hint, writer) {
    const limits = [low, high].map(limit =>
      writer.constant({ data: Float32Array.of(limit), shape: [] }, 'limit'),
    )
    return writer.floats('ClipByValue', [writer.named(x), ...limits], hint)
  },

  'leaky-relu': ({ x, slope }, hint, writer) =>
    writer.floats('LeakyRelu', [writer.named(x)], hint, { alpha: { f: slope } }),

  softmax: ({ x, logarithm }, hint, writer) =>
    writer.floats(logarithm ? 'LogSoftmax' : 'Softmax', [writer.named(x)], hint),

  pool: ({ x, size, function: name, strides, padding }, hint, writer) =>
    writer.floats(name === 'max' ? 'MaxPool' : 'AvgPool', [writer.named(x)], hint, {
      ksize: list([1, ...size, 1]),
      strides: list([1, ...strides, 1]),
      padding: text(padding.toUpperCase()),
    }),

  reduce({ x, function: name, axes, keep }, hint, writer) {
    const inputs = [writer.named(x), writer.integers(axes, `${hint}_axes`)]
    return writer.floats(reduceNames[name], inputs, hint, { Tidx: INT, keep_dims: { b: keep } })
  },

  concat({ inputs, axis }, hint, writer) {
    const names = [...inputs.map(input => writer.named(input)), scalar(axis, writer)]
    return writer.floats('ConcatV2', names, hint, { N: { i: inputs.length }, Tidx: INT })
  },

  reshape({ x, shape, computed }, hint, writer) {
    const sides = shape.map((side, axis): Count => (axis === computed?.axis ? computed.length : (side ?? -1)))
    const target = shapeOf(sides, `${hint}_shape`, writer)
    const inputs = [writer.named(x), target]
    return writer.emit('Reshape', inputs, hint, { T: typeAttribute(x.type), Tshape: INT })
  },

  transpose({ x, order }, hint, writer) {
    const inputs = [writer.named(x), writer.integers(order, `${hint}_order`)]
    return writer.emit('Transpose', inputs, hint, { T: typeAttribute(x.type), Tperm: INT })
  },

  'channel-rows'({ x }, hint, writer, y) {
    const [, channels, pixels] = y.shape as number[]
    const sides = writer.integers([-1, pixels as number, channels as number], `${hint}_shape`)
    const rows = writer.emit('Reshape', [writer.named(x), sides], `${hint}_rows`, {
      ...{ T: FLOAT, Tshape: INT },
    })
    return writer.floats('Transpose', [rows, writer.integers([0, 2, 1], `${hint}_order`)], hint, {
      Tperm: INT,
    })
  },

  pad({ x, amounts }, hint, writer) {
    const inputs = [writer.named(x), writer.integers(amounts.flat(), `${hint}_amounts`, [amounts.length, 2])]
    return writer.floats('Pad', inputs, hint, { Tpaddings: INT })
  },

  crop({ x, amounts }, hint, writer) {
    const begin = amounts.map(([before]) => before)
    const size = x.shape.map((side, axis) =>
      side === null ? -1 : side - (amounts[axis] ?? [0, 0]).reduce((sum, part) => sum + part, 0),
    )
    const inputs = [
      writer.named(x),
      writer.integers(begin, `${hint}_begin`),
      writer.integers(size, `${hint}_size`),
    ]
    return writer.floats('Slice', inputs, hint, { Index: INT })
  },

  resize({ x, mode }, hint, writer, y) {
    const size = writer.integers(y.shape.slice(1, 3) as number[], `${hint}_size`)
    const op = mode === 'bilinear' ? 'ResizeBilinear' : 'ResizeNearestNeighbor'
    return writer.floats(op, [writer.named(x), size], hint)
  },

  'to-float': ({ x }, hint, writer) =>
    writer.emit('Cast', [writer.named(x)], hint, { SrcT: typeAttribute(x.type), DstT: FLOAT }),

  top: ({ x, count }, hint, writer) =>
    writer.floats(
      'TopKV2',
      [writer.named(x), typeof count === 'number' ? scalar(count, writer) : writer.named(count)],
      hint,
      { sorted: { b: true } },
    ),

  gather({ table, rows }, hint, writer) {
    const inputs = [writer.named(table), writer.named(rows), scalar(0, writer)]
    const attributes = { Tparams: typeAttribute(elementType(table)), Tindices: INT, Taxis: INT }
    return writer.emit('GatherV2', inputs, hint, attributes)
  },

  'gather-by-image'({ table, rows }, hint, writer) {
    const inputs = [writer.named(table), writer.named(rows), scalar(1, writer)]
    const attributes = { Tparams: FLOAT, Tindices: INT, Taxis: INT, batch_dims: { i: 1 } }
    return writer.emit('GatherV2', inputs, hint, attributes)
  },

  places({ x, equals, orFirst }, hint, writer) {
    const inputs = [writer.named(x), scalar(equals, writer)]
    const isEqual = writer.emit('Equal', inputs, `${hint}_equal`, { T: INT })
    const column = writer.emit('Where', [isEqual], `${hint}_column`, { T: BOOL })
    const integers = writer.emit('Cast', [column], `${hint}_cast`, { SrcT: LONG, DstT: INT })
    const list = writer.integers([-1], `${hint}_list`)
    const places = writer.emit('Reshape', [integers, list], hint, { T: INT, Tshape: INT })
    return orFirst ? orZero(places, hint, writer) : places
  },

  'batch-starts'({ like, step }, hint, writer) {
    const inputs = [batchLength(like, writer, hint), scalar(step, writer)]
    const end = writer.emit('Mul', inputs, `${hint}_end`, { T: INT })
    return writer.emit('Range', [scalar(0, writer), end, scalar(step, writer)], hint, { Tidx: INT })
  },

  /**
   * s relu(-s) of the sum s of magnitudes: 0 for a finite s, NaN for infinity times 0. TensorFlow's optimizer of graphs
   * takes s - s, and a product with the constant 0, for 0.
   */
  'not-finite'({ x }, hint, writer) {
    const magnitudes = writer.floats('Abs', [writer.named(x)], `${hint}_magnitudes`)
    const axes = writer.integers([x.shape.length - 1], `${hint}_axes`)
    const sum = writer.floats('Sum', [magnitudes, axes], `${hint}_sum`, { Tidx: INT, keep_dims: { b: true } })
    const negative = writer.floats('Neg', [sum], `${hint}_negative`)
    return writer.floats('Mul', [sum, writer.floats('Relu', [negative], `${hint}_zero`)], hint)
  },

  scatter({ rows, updates, like, rowsPerImage, spare = false }, hint, writer) {
    const inputs = [batchLength(like, writer, hint), scalar(rowsPerImage, writer)]
    const count = writer.emit('Mul', inputs, `${hint}_rows`, { T: INT })
    const sides = [count, scalar(updates.shape[1] as number, writer)]
    const shape = packed(sides, `${hint}_shape`, writer)
    const column = [writer.named(rows), scalar(1, writer)]
    const positions = writer.emit('ExpandDims', column, `${hint}_places`, { T: INT, Tdim: INT })
    const parts = [positions, spare ? firstRows(updates, rows, hint, writer) : writer.named(updates), shape]
    return writer.emit('ScatterNd', parts, hint, { T: FLOAT, Tindices: INT })
  },

  /** Expert by expert: not every version of TensorFlow convolves in groups on a CPU. */
  'expert-convolution'({ windows, kernel, padding, count }, hint, writer, y) {
    const [, experts = 1, , ...window] = windows.shape as number[]
    const unpack = { num: { i: experts }, axis: { i: 1 } }
    const maps = writer.floats('Unpack', [writer.named(windows)], `${hint}_windows`, unpack)
    const reshape = { T: FLOAT, Tshape: INT }
    const windowSides = writer.integers([-1, ...window], `${hint}_window`)
    const outputSides = shapeOf([-1, count, ...(y.shape.slice(3) as number[])], `${hint}_output`, writer)
    const split = [scalar(3, writer), writer.constant(kernel, `${hint}_kernel`)]
    const kernels = writer.floats('Split', split, `${hint}_kernels`, { num_split: { i: experts } })
    const slide = slidingAttributes({ strides: [1, 1], padding, dilations: [1, 1] })
    const outputs = Array.from({ length: experts }, (_, s) => {
      const own = `${hint}_expert${s + 1}`
      const patches = writer.emit('Reshape', [`${maps}:${s}`, windowSides], `${own}_windows`, reshape)
      const product = writer.floats('Conv2D', [patches, `${kernels}:${s}`], `${own}_product`, slide)
      return writer.emit('Reshape', [product, outputSides], own, reshape)
    })
    return writer.floats('Pack', outputs, hint, { N: { i: experts }, axis: { i: 1 } })
  },
}

/** A list, or 0 in the place of an empty one: some convolutions of TensorFlow give no samples a wrong shape. */
function orZero(places: string, hint: string, writer: TensorFlowWriter): string {
  const ends = [places, writer.integers([0], `${hint}_first`), scalar(0, writer)]
  const longer = writer.emit('ConcatV2', ends, `${hint}_longer`, { N: { i: 2 }, T: INT, Tidx: INT })
  const count = writer.emit('Size', [places], `${hint}_count`, { T: INT, out_type: INT })
  const atLeastOne = writer.emit('Maximum', [count, scalar(1, writer)], `${hint}_length`, { T: INT })
  const size = writer.emit('ExpandDims', [atLeastOne, scalar(0, writer)], `${hint}_size`, {
    T: INT,
    Tdim: INT,
  })
  const parts = [longer, writer.integers([0], `${hint}_begin`), size]
  return writer.emit('Slice', parts, `${hint}_or_first`, { T: INT, Index: INT })
}

/** As many updates as there are rows. */
function firstRows(updates: Value, rows: Value, hint: string, writer: TensorFlowWriter): string {
  const count = writer.emit('Size', [writer.named(rows)], `${hint}_count`, { T: INT, out_type: INT })
  const sides = [count, scalar(updates.shape[1] as number, writer)]
  const size = packed(sides, `${hint}_size`, writer)
  const parts = [writer.named(updates), writer.integers([0, 0], `${hint}_begin`), size]
  return writer.emit('Slice', parts, `${hint}_updates`, { T: FLOAT, Index: INT })
}

function typeAttribute(type: ElementType) {
  return { type: tensorflowType[type] }
}

function elementType(operand: Operand): ElementType {
  if (!isConstant(operand)) return operand.type
  return operand.data instanceof Int32Array ? 'int' : 'float'
}

function slidingAttributes({ strides, padding, dilations }: Sliding) {
  return {
    strides: list([1, ...strides, 1]),
    dilations: list([1, ...dilations, 1]),
    padding: text(padding.toUpperCase()),
  }
}

/** A shape, of which sides may be computed. */
function shapeOf(sides: readonly Count[], hint: string, writer: TensorFlowWriter): string {
  if (sides.every(side => typeof side === 'number')) return writer.integers(sides, hint)
  const scalars = sides.map(side => (typeof side === 'number' ? scalar(side, writer) : writer.named(side)))
  return packed(scalars, hint, writer)
}

/** Integers as a list. */
function packed(scalars: readonly string[], hint: string, writer: TensorFlowWriter): string {
  return writer.emit('Pack', scalars, hint, { N: { i: scalars.length }, T: INT, axis: { i: 0 } })
}

function scalar(value: number, writer: TensorFlowWriter): string {
  return writer.integers([value], `number_${value}`, [])
}

/** The number of images, as a scalar. */
function batchLength(like: Value, writer: TensorFlowWriter, hint: string): string {
  const attributes = { T: typeAttribute(like.type), out_type: INT }
  const sides = writer.emit('Shape', [writer.named(like)], `${hint}_sides`, attributes)
  const gather = { Tparams: INT, Tindices: INT, Taxis: INT }
  return writer.emit('GatherV2', [sides, scalar(0, writer), scalar(0, writer)], `${hint}_images`, gather)
}
