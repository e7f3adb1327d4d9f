import * as tf from '@tensorflow/tfjs-core'
import type {
  BinaryFunction,
  Constant,
  Operand,
  Operation,
  Sliding,
  UnaryFunction,
  Value,
} from '../export/graph/graph.js'
import { isConstant } from '../export/graph/graph.js'
import { gatherRows } from '../layers/moe/dispatch.js'
import { frozenExpertConvolution } from '../layers/moe/experts/expert-convolution.js'
import { layerOps } from '../layers/ops.js'

type Kind = Operation['kind']
type OfKind<K extends Kind> = Extract<Operation, { kind: K }>

/** The tensors of the values that have been computed so far. */
export type Lookup = (value: Value) => tf.Tensor

/** Computes the outputs of one operation; called in a tidy. */
export type Compute = (tensorOf: Lookup) => tf.Tensor | tf.Tensor[]

/** What lives as long as the program does. */
export interface Lifetime {
  /** Uploads numbers of the graph, once. */
  upload(constant: Constant): tf.Tensor
  /** Frees something else when the program ends. */
  atEnd(dispose: () => void): void
}

type Prepare<K extends Kind> = (operation: OfKind<K>, lifetime: Lifetime, activation?: 'relu') => Compute

/**
 * Prepares an operation of a graph for tfjs: uploads its numbers, and returns what computes it.
 *
 * @param activation what the operation does to its result besides; only for those of {@link isFusible}
 */
export function prepared(operation: Operation, lifetime: Lifetime, activation?: 'relu'): Compute {
  const prepare = operations[operation.kind] as Prepare<Kind>
  return prepare(operation, lifetime, activation)
}

/** Whether tfjs can compute a ReLU in the same pass as the operation. */
export function isFusible({ kind }: Operation): boolean {
  return kind === 'convolution' || kind === 'dense'
}

const unaries: Readonly<Record<UnaryFunction, (x: tf.Tensor) => tf.Tensor>> = {
  relu: tf.relu,
  sigmoid: tf.sigmoid,
  tanh: tf.tanh,
  elu: tf.elu,
  selu: tf.selu,
  softplus: tf.softplus,
  softsign: x => tf.div(x, tf.add(tf.abs(x), 1)),
  exp: tf.exp,
  erf: tf.erf,
  sqrt: tf.sqrt,
}
const binaries: Readonly<Record<BinaryFunction, (a: tf.Tensor, b: tf.Tensor) => tf.Tensor>> = {
  add: tf.add,
  sub: tf.sub,
  mul: tf.mul,
  div: tf.div,
  max: tf.maximum,
  min: tf.minimum,
}
const reductions = { mean: tf.mean, max: tf.max, sum: tf.sum } as const

const operations: { readonly [K in Kind]: Prepare<K> } = {
  convolution({ x, kernel, bias, depthwise, exact, ...sliding }, { upload }, activation) {
    const filter = upload(kernel) as tf.Tensor4D
    const options = {
      filter,
      ...slidingOptions(sliding),
      ...(bias && { bias: upload(bias) }),
      ...(activation && { activation }),
    }
    const convolve = depthwise ? tf.fused.depthwiseConv2d : tf.fused.conv2d
    const compute: Compute = tensorOf => convolve({ ...options, x: tensorOf(x) as tf.Tensor4D })
    return exact ? tensorOf => layerOps().exactly(() => compute(tensorOf) as tf.Tensor) : compute
  },

  'transposed-convolution'({ x, kernel, strides, padding }, { upload }) {
    const filter = upload(kernel) as tf.Tensor4D
    return tensorOf => {
      const map = tensorOf(x) as tf.Tensor4D
      const grown = ([1, 2] as const).map((axis, i) => {
        const extra =
          padding === 'valid' ? Math.max((kernel.shape[i] as number) - (strides[i] as number), 0) : 0
        return map.shape[axis] * (strides[i] as number) + extra
      })
      const shape: [number, number, number, number] = [
        map.shape[0],
        grown[0] as number,
        grown[1] as number,
        filter.shape[2],
      ]
      return tf.conv2dTranspose(map, filter, shape, [...strides], padding)
    }
  },

  dense({ x, kernel, bias, exact }, { upload }, activation) {
    const matrix = upload(kernel) as tf.Tensor2D
    const options = { ...(bias && { bias: upload(bias) }), ...(activation && { activation }) }
    const compute = (tensorOf: Lookup): tf.Tensor => {
      const rows = tensorOf(x)
      if (rows.rank === 2) return tf.fused.matMul({ a: rows, b: matrix, ...options })
      const flat = tf.reshape(rows, [-1, matrix.shape[0]])
      const product = tf.fused.matMul({ a: flat, b: matrix, ...options })
      return tf.reshape(product, [...rows.shape.slice(0, -1), matrix.shape[1]])
    }
    return exact ? tensorOf => layerOps().exactly(() => compute(tensorOf)) : compute
  },

  'batched-product'({ x, matrices }, { upload }) {
    const matricesOf = operandOf(matrices, upload)
    if (!isConstant(matrices)) return tensorOf => tf.matMul(tensorOf(x), matricesOf(tensorOf))
    return tensorOf => expertByExpert(tensorOf(x), rows => tf.matMul(rows, matricesOf(tensorOf)))
  },

  affine({ x, scale, shift }, { upload }) {
    const [factor, offset] = [upload(scale), upload(shift)]
    return tensorOf => tf.add(tf.mul(tensorOf(x), factor), offset)
  },

  unary:
    ({ x, function: name }) =>
    tensorOf =>
      unaries[name](tensorOf(x)),

  binary({ a, b, function: name }, { upload }) {
    if (name === 'max' && isConstant(b) && !isConstant(a)) return atLeast(a, upload(b))
    const [left, right] = [operandOf(a, upload), operandOf(b, upload)]
    return tensorOf => binaries[name](left(tensorOf), right(tensorOf))
  },

  clip:
    ({ x, low, high }) =>
    tensorOf =>
      tf.clipByValue(tensorOf(x), low, high),

  'leaky-relu':
    ({ x, slope }) =>
    tensorOf =>
      tf.leakyRelu(tensorOf(x), slope),

  softmax:
    ({ x, logarithm }) =>
    tensorOf =>
      logarithm ? tf.logSoftmax(tensorOf(x)) : tf.softmax(tensorOf(x)),

  pool: ({ x, function: name, size, ...sliding }) => {
    const pool = name === 'max' ? tf.maxPool : tf.avgPool
    const { strides, pad } = slidingOptions(sliding)
    return tensorOf => pool(tensorOf(x) as tf.Tensor4D, [...size], strides, pad)
  },

  reduce:
    ({ x, function: name, axes, keep }) =>
    tensorOf =>
      reductions[name](tensorOf(x), [...axes], keep),

  concat:
    ({ inputs, axis }) =>
    tensorOf =>
      tf.concat(inputs.map(tensorOf), axis),

  reshape({ x, shape, computed }) {
    const sides = shape.map(side => side ?? -1)
    if (!computed) return tensorOf => tf.reshape(tensorOf(x), sides)
    return tensorOf => tf.reshape(tensorOf(x), sides.with(computed.axis, numberIn(tensorOf(computed.length))))
  },

  transpose:
    ({ x, order }) =>
    tensorOf =>
      tf.transpose(tensorOf(x), [...order]),

  'channel-rows':
    ({ x }) =>
    tensorOf => {
      const map = tensorOf(x) as tf.Tensor4D
      const [batch, height, width, channels] = map.shape
      return tf.transpose(tf.reshape(map, [batch, height * width, channels]), [0, 2, 1])
    },

  pad({ x, amounts }) {
    const paddings = amounts.map(([before, after]): [number, number] => [before, after])
    return tensorOf => tf.pad(tensorOf(x), paddings)
  },

  crop:
    ({ x, amounts }) =>
    tensorOf => {
      const map = tensorOf(x)
      const begin = amounts.map(([before]) => before)
      const size = map.shape.map((side, axis) => {
        const [before, after] = amounts[axis] ?? [0, 0]
        return side - before - after
      })
      return tf.slice(map, begin, size)
    },

  resize({ x, factors, mode }) {
    const resize = mode === 'bilinear' ? tf.image.resizeBilinear : tf.image.resizeNearestNeighbor
    return tensorOf => {
      const map = tensorOf(x) as tf.Tensor4D
      return resize(map, [map.shape[1] * factors[0], map.shape[2] * factors[1]])
    }
  },

  'to-float':
    ({ x }) =>
    tensorOf =>
      tf.cast(tensorOf(x), 'float32'),

  top:
    ({ x, count }) =>
    tensorOf => {
      const length = typeof count === 'number' ? count : numberIn(tensorOf(count))
      const { values, indices } = tf.topk(tensorOf(x), length, true)
      return [values, indices]
    },

  gather({ table, rows }, { upload }) {
    const rowsOf = operandOf(table, upload)
    return tensorOf => gatherRows(rowsOf(tensorOf) as tf.Tensor2D, tensorOf(rows))
  },

  'gather-by-image':
    ({ table, rows }) =>
    tensorOf => {
      const [matrices, places] = [tensorOf(table), tensorOf(rows)]
      const [batch, length, width] = matrices.shape as [number, number, number]
      const starts = tf.mul(tf.range(0, batch, 1, 'int32'), tf.scalar(length, 'int32'))
      const ones = places.shape.slice(1).map(() => 1)
      const flat: tf.Tensor2D = tf.reshape(matrices, [batch * length, width])
      return gatherRows(flat, tf.add(places, tf.reshape(starts, [batch, ...ones])))
    },

  // Where the numbers are is known on the host alone: the backend is waited for.
  places:
    ({ x, equals }) =>
    tensorOf => {
      const numbers = tensorOf(x).dataSync()
      const places = [...numbers.keys()].filter(place => numbers[place] === equals)
      return tf.tensor1d(places, 'int32')
    },

  'batch-starts':
    ({ like, step }) =>
    tensorOf => {
      const images = tf.range(0, tensorOf(like).shape[0] as number, 1, 'int32')
      return tf.mul(images, tf.scalar(step, 'int32'))
    },

  'not-finite':
    ({ x }) =>
    tensorOf =>
      tf.sum(tf.mul(tensorOf(x), 0), -1, true),

  scatter:
    ({ rows, updates, like, rowsPerImage }) =>
    tensorOf => {
      const values = tensorOf(updates)
      const shape = [(tensorOf(like).shape[0] as number) * rowsPerImage, values.shape[1] as number]
      if (values.size === 0) return tf.zeros(shape)
      return tf.scatterND(tf.expandDims(tensorOf(rows), 1), values, shape)
    },

  'expert-convolution'({ windows, kernel, padding }, { upload, atEnd }) {
    const experts = windows.shape[1] as number
    const frozen = frozenExpertConvolution(upload(kernel) as tf.Tensor4D, experts, padding)
    atEnd(frozen.dispose)
    return tensorOf => expertByExpert(tensorOf(windows), rows => frozen.convolve(rows as tf.Tensor5D))
  },
}

/** What experts make of (B,K,L,...), computed on (K, B L, ...). */
function expertByExpert(x: tf.Tensor, compute: (rows: tf.Tensor) => tf.Tensor): tf.Tensor {
  const [batch, experts, count, ...sides] = x.shape as [number, number, number]
  const rows = tf.reshape(withFirstAxesSwapped(x), [experts, batch * count, ...sides])
  const outputs = compute(rows)
  return withFirstAxesSwapped(tf.reshape(outputs, [experts, batch, count, ...outputs.shape.slice(2)]))
}

/** (A,B,...) -> (B,A,...), which moves nothing where one of both is 1. */
function withFirstAxesSwapped(x: tf.Tensor): tf.Tensor {
  const [first, second, ...sides] = x.shape as [number, number]
  const shape = [second, first, ...sides]
  if (first === 1 || second === 1) return tf.reshape(x, shape)
  return tf.reshape(tf.transpose(tf.reshape(x, [first, second, -1]), [1, 0, 2]), shape)
}

/** The backend is waited for. */
function numberIn(tensor: tf.Tensor): number {
  return tensor.dataSync()[0] as number
}

/** The larger of x and numbers that are broadcast: tfjs's maximum takes wasm fifteen times as long where it broadcasts. */
function atLeast(x: Value, least: tf.Tensor): Compute {
  return tensorOf => tf.add(tf.relu(tf.sub(tensorOf(x), least)), least)
}

function operandOf(operand: Operand, upload: Lifetime['upload']): (tensorOf: Lookup) => tf.Tensor {
  if (!isConstant(operand)) return tensorOf => tensorOf(operand)
  const tensor = upload(operand)
  return () => tensor
}

function slidingOptions({ strides, padding, dilations }: Sliding) {
  return {
    strides: [...strides] as [number, number],
    dilations: [...dilations] as [number, number],
    pad: padding,
  }
}
