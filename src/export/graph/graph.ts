import type { Size2D } from '../../shapes.js'

/**
 * The intermediate form of a network between tfjs and a file format: values, and operations on them.
 *
 * Maps are (batch, height, width, channels) as in tfjs, whatever layout a format prefers. Float values are float32,
 * integers have the format's usual width.
 */
export interface Graph {
  readonly name: string
  readonly inputs: readonly GraphInput[]
  readonly outputs: readonly { readonly name: string; readonly value: Value }[]
  /** In an order in which they can be computed. */
  readonly nodes: readonly GraphNode[]
  /** The outputs that say what mixtures chose, by the names of their layers, after those of the models they are nested in. */
  readonly routes?: readonly RouteOutputs[]
}

/** Names of the outputs that say what one mixture chose. */
export interface RouteOutputs {
  readonly layer: string
  readonly indices: string
  readonly gates: string
  readonly scores?: string
}

/** One input of a graph. */
export interface GraphInput {
  readonly name: string
  readonly value: Value
  /** Order of the axes in which the caller hands it over, where it is a map. */
  readonly layout: Layout
}

/** Order of the axes of a map: (B,H,W,C) or (B,C,H,W). */
export type Layout = 'nhwc' | 'nchw'

/** Length of an axis; null for the batch and what follows from it. */
export type Dimension = number | null

/** `int` is 32 or 64 bits, as the format prefers for indices. */
export type ElementType = 'float' | 'int' | 'uint8'

/** What an operation yields. */
export interface Value {
  /** Unique in its graph. */
  readonly name: string
  readonly shape: readonly Dimension[]
  readonly type: ElementType
}

/** Numbers that are part of the graph. */
export interface Constant {
  readonly shape: readonly number[]
  readonly data: Float32Array | Int32Array
}

export type Operand = Value | Constant

/** How many there are of something: known when the graph is written, or an integer (of no axes) that is computed. */
export type Count = number | Value

/** One operation, with the layer that it comes from. */
export interface GraphNode {
  /** Name of the layer it comes from, after those of the models it is nested in. */
  readonly name: string
  readonly operation: Operation
  readonly outputs: readonly Value[]
}

/** How a window moves over a map. */
export interface Sliding {
  readonly strides: Size2D
  readonly padding: 'same' | 'valid'
  readonly dilations: Size2D
}

export type UnaryFunction =
  | 'relu'
  | 'sigmoid'
  | 'tanh'
  | 'elu'
  | 'selu'
  | 'softplus'
  | 'softsign'
  | 'exp'
  | 'erf'
  | 'sqrt'

export type BinaryFunction = 'add' | 'sub' | 'mul' | 'div' | 'max' | 'min'

/** Every kind of operation that the formats know how to write. */
export type Operation =
  /** kernel (kh,kw,C,F), or (kh,kw,C,multiplier) where depthwise; bias of all output channels. */
  | (Sliding & {
      readonly kind: 'convolution'
      readonly x: Value
      readonly kernel: Constant
      readonly bias?: Constant
      readonly depthwise: boolean
      /** In float32 even where products are otherwise computed from rounded factors. */
      readonly exact?: boolean
    })
  /** kernel (kh,kw,F,C): the transpose of a convolution from F to C channels. */
  | ({ readonly kind: 'transposed-convolution'; readonly x: Value; readonly kernel: Constant } & {
      readonly strides: Size2D
      readonly padding: 'same' | 'valid'
    })
  /** x (...,I) kernel (I,O). */
  | {
      readonly kind: 'dense'
      readonly x: Value
      readonly kernel: Constant
      readonly bias?: Constant
      /** As of a convolution. */
      readonly exact?: boolean
    }
  /** x (...,P,C) matrices (...,C,F): each expert, or each sample, has a matrix of its own; leading axes broadcast. */
  | { readonly kind: 'batched-product'; readonly x: Value; readonly matrices: Operand }
  /** Channel by channel, along the last axis: x scale + shift; what BatchNorm is once it is trained. */
  | { readonly kind: 'affine'; readonly x: Value; readonly scale: Constant; readonly shift: Constant }
  | { readonly kind: 'unary'; readonly x: Value; readonly function: UnaryFunction }
  | { readonly kind: 'binary'; readonly a: Operand; readonly b: Operand; readonly function: BinaryFunction }
  | { readonly kind: 'clip'; readonly x: Value; readonly low: number; readonly high: number }
  | { readonly kind: 'leaky-relu'; readonly x: Value; readonly slope: number }
  /** Along the last axis. */
  | { readonly kind: 'softmax'; readonly x: Value; readonly logarithm: boolean }
  | (Sliding & {
      readonly kind: 'pool'
      readonly x: Value
      readonly function: 'max' | 'average'
      readonly size: Size2D
    })
  | {
      readonly kind: 'reduce'
      readonly x: Value
      readonly function: 'mean' | 'max' | 'sum'
      readonly axes: readonly number[]
      readonly keep: boolean
    }
  | { readonly kind: 'concat'; readonly inputs: readonly Value[]; readonly axis: number }
  /** At most one null, for the side that takes the remaining elements. */
  | {
      readonly kind: 'reshape'
      readonly x: Value
      readonly shape: readonly Dimension[]
      /** The length of one more axis that is null in `shape`. */
      readonly computed?: { readonly axis: number; readonly length: Value }
    }
  | { readonly kind: 'transpose'; readonly x: Value; readonly order: readonly number[] }
  /** Each channel of a map by itself: (B,H,W,C) -> (B,C,H W). */
  | { readonly kind: 'channel-rows'; readonly x: Value }
  /** Numbers before and after along each axis. */
  | { readonly kind: 'pad'; readonly x: Value; readonly amounts: readonly (readonly [number, number])[] }
  /** Leaves out numbers before and after along each axis. */
  | { readonly kind: 'crop'; readonly x: Value; readonly amounts: readonly (readonly [number, number])[] }
  | {
      readonly kind: 'resize'
      readonly x: Value
      readonly factors: Size2D
      readonly mode: 'nearest' | 'bilinear'
    }
  | { readonly kind: 'to-float'; readonly x: Value }
  /** Largest first along the last axis, equal ones in their order: values, then positions. */
  | { readonly kind: 'top'; readonly x: Value; readonly count: Count }
  /** Rows of a matrix. */
  | { readonly kind: 'gather'; readonly table: Operand; readonly rows: Value }
  /** Of each image's own matrix the rows that are named for it: table (B,N,C) rows (B,...) -> (B,...,C). */
  | { readonly kind: 'gather-by-image'; readonly table: Value; readonly rows: Value }
  /** Where a list x (n) of integers is `equals`, ascending: as many places as there are. */
  | {
      readonly kind: 'places'
      readonly x: Value
      readonly equals: number
      /** Where there is none, place 0 may be given, for formats that do not compute empty batches rightly. */
      readonly orFirst: boolean
    }
  /** 0, step, 2 step, ... for each image of the batch of `like`: (B). */
  | { readonly kind: 'batch-starts'; readonly like: Value; readonly step: number }
  /** (...,1) of x (...,N): NaN where one of the N is NaN or infinite, else 0. */
  | { readonly kind: 'not-finite'; readonly x: Value }
  /**
   * A matrix of rowsPerImage rows for each image of `like`, zero except in the given rows, all of them different.
   */
  | {
      readonly kind: 'scatter'
      readonly rows: Value
      readonly updates: Value
      readonly like: Value
      readonly rowsPerImage: number
      /** Whether there may be one update where there are no rows, which does not count. */
      readonly spare?: boolean
      /** Where the rows are those of experts. */
      readonly ofExperts?: ExpertRows
    }
  /** Every expert convolves its L windows (B,K,L,height,width,C) by its F filters of (kh,kw,C,K F): (B,K,L,h,w,F). */
  | {
      readonly kind: 'expert-convolution'
      readonly windows: Value
      /** L. */
      readonly count: Count
      readonly kernel: Constant
      readonly padding: 'same' | 'valid'
    }

/** Rows of experts: image after image, of each expert after expert this many. */
export interface ExpertRows {
  readonly experts: number
  readonly rowsPerExpert: Count
}

/** Whether an operand is part of the graph rather than computed. */
export function isConstant(operand: Operand): operand is Constant {
  return 'data' in operand
}

/** A model, or a part of it, cannot be written as a graph; the message names it. */
export class UnsupportedModelError extends RangeError {}

/** The computed values that an operation reads. */
export function valuesRead(operation: Operation): Value[] {
  switch (operation.kind) {
    case 'binary':
      return [operation.a, operation.b].filter(operand => !isConstant(operand)) as Value[]
    case 'batched-product':
      return isConstant(operation.matrices) ? [operation.x] : [operation.x, operation.matrices]
    case 'concat':
      return [...operation.inputs]
    case 'gather':
      return isConstant(operation.table) ? [operation.rows] : [operation.table, operation.rows]
    case 'batch-starts':
      return [operation.like]
    case 'reshape':
      return operation.computed ? [operation.x, operation.computed.length] : [operation.x]
    case 'top':
      return typeof operation.count === 'number' ? [operation.x] : [operation.x, operation.count]
    case 'scatter':
      return [operation.rows, operation.updates, operation.like]
    case 'gather-by-image':
      return [operation.table, operation.rows]
    case 'expert-convolution':
      return typeof operation.count === 'number' ? [operation.windows] : [operation.windows, operation.count]
    default:
      return [operation.x]
  }
}

/** Zeros before and after along one side, as TensorFlow pads 'same': the odd one after. */
export function samePadding(
  length: number,
  window: number,
  stride: number,
  dilation: number,
): readonly [before: number, after: number] {
  const reach = (window - 1) * dilation + 1
  const total = Math.max((Math.ceil(length / stride) - 1) * stride + reach - length, 0)
  return [Math.floor(total / 2), Math.ceil(total / 2)]
}

/** Elements of a shape; undefined where the batch is among its axes. */
export function elementsOf(shape: readonly Dimension[]): number | undefined {
  return shape.reduce<number | undefined>(
    (product, side) => (product === undefined || side === null ? undefined : product * side),
    1,
  )
}
