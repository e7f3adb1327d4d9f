import type { Size2D } from '../../shapes.js'
import {
  type BinaryFunction,
  type Constant,
  type Count,
  type Dimension,
  type ElementType,
  type ExpertRows,
  type GraphNode,
  isConstant,
  type Operand,
  type Operation,
  type Sliding,
  type UnaryFunction,
  UnsupportedModelError,
  type Value,
} from './graph.js'

type Axes = readonly Dimension[]

/** What one mixture chooses. */
export interface Route {
  /** Name of the layer, after those of the models it is nested in. */
  readonly layer: string
  /** (B,K,L) int, numbers of the kept patches. */
  readonly indices: Value
  /** (B,K,L) float, gate scale included. */
  readonly gates: Value
  /** (B,M) float, where samples choose experts: indices and gates are (B,k) there. */
  readonly scores?: Value
}

const everyPixel: Sliding = { strides: [1, 1], padding: 'valid', dilations: [1, 1] }

/** Puts a graph together, operation by operation; every method adds one and returns what it yields. */
export class GraphBuilder {
  readonly nodes: GraphNode[] = []
  /** The layer that is being written, for names and errors. */
  layer = ''
  /** What mixtures choose, for callers that want to know it. */
  readonly routes: Route[] = []
  /** What the experts of all mixtures keep, in the place of what their layers say. */
  patchesPerExpert: Count | undefined
  /** Whether every network of experts answers for all samples. */
  everyExpert = false
  private readonly names = new Map<string, number>()

  /** A value that comes from outside. */
  input(name: string, shape: Axes, type: ElementType): Value {
    return { name: this.unique(name), shape, type }
  }

  convolution(
    x: Value,
    kernel: Constant,
    {
      bias,
      depthwise = false,
      exact = false,
      ...slide
    }: Partial<Sliding> & { bias?: Constant | undefined; depthwise?: boolean; exact?: boolean } = {},
  ): Value {
    const sliding = { ...everyPixel, ...slide }
    const [kernelHeight = 1, kernelWidth = 1, channels = 1, last = 1] = kernel.shape
    const filters = depthwise ? channels * last : last
    return this.add(
      {
        kind: 'convolution',
        x,
        kernel,
        ...(bias && { bias }),
        depthwise,
        ...(exact && { exact }),
        ...sliding,
      },
      this.slid(x, [kernelHeight, kernelWidth], sliding, filters),
    )
  }

  transposedConvolution(x: Value, kernel: Constant, strides: Size2D, padding: 'same' | 'valid'): Value {
    const [batch = null, ...sides] = x.shape
    const grown = strides.map((stride, axis) => {
      const extra = padding === 'valid' ? Math.max((kernel.shape[axis] ?? 1) - stride, 0) : 0
      return this.fixed(sides[axis]) * stride + extra
    })
    return this.add({ kind: 'transposed-convolution', x, kernel, strides, padding }, [
      batch,
      ...grown,
      kernel.shape[2] ?? 1,
    ])
  }

  dense(x: Value, kernel: Constant, bias?: Constant, { exact = false } = {}): Value {
    const shape = [...x.shape.slice(0, -1), kernel.shape[1] ?? 1]
    return this.add({ kind: 'dense', x, kernel, ...(bias && { bias }), ...(exact && { exact }) }, shape)
  }

  batchedProduct(x: Value, matrices: Operand): Value {
    const leading = broadcast(x.shape.slice(0, -2), matrices.shape.slice(0, -2))
    const shape = [...leading, x.shape.at(-2) ?? null, matrices.shape.at(-1) ?? null]
    return this.add({ kind: 'batched-product', x, matrices }, shape)
  }

  affine(x: Value, scale: Constant, shift: Constant): Value {
    return this.add({ kind: 'affine', x, scale, shift }, x.shape)
  }

  unary(x: Value, name: UnaryFunction): Value {
    return this.add({ kind: 'unary', x, function: name }, x.shape)
  }

  /** With broadcasting, as in NumPy. */
  binary(name: BinaryFunction, a: Operand, b: Operand): Value {
    const type = isConstant(a) ? (isConstant(b) ? 'float' : b.type) : a.type
    return this.add({ kind: 'binary', a, b, function: name }, broadcast(a.shape, b.shape), type)
  }

  clip(x: Value, low: number, high: number): Value {
    return this.add({ kind: 'clip', x, low, high }, x.shape)
  }

  leakyRelu(x: Value, slope: number): Value {
    return this.add({ kind: 'leaky-relu', x, slope }, x.shape)
  }

  softmax(x: Value, { logarithm = false } = {}): Value {
    return this.add({ kind: 'softmax', x, logarithm }, x.shape)
  }

  pool(x: Value, name: 'max' | 'average', size: Size2D, slide: Pick<Sliding, 'strides' | 'padding'>): Value {
    const sliding = { ...everyPixel, ...slide }
    const shape = this.slid(x, size, sliding, x.shape[3] ?? null)
    return this.add({ kind: 'pool', x, function: name, size, ...sliding }, shape)
  }

  reduce(x: Value, name: 'mean' | 'max' | 'sum', axes: readonly number[], keep = false): Value {
    const shape = x.shape.flatMap((side, axis) => (axes.includes(axis) ? (keep ? [1] : []) : [side]))
    return this.add({ kind: 'reduce', x, function: name, axes, keep }, shape)
  }

  concat(inputs: readonly Value[], axis: number): Value {
    const first = inputs[0] as Value
    const shape = first.shape.map((side, at) =>
      at === axis ? inputs.reduce((sum, { shape }) => sum + this.fixed(shape[axis]), 0) : side,
    )
    return this.add({ kind: 'concat', inputs, axis }, shape)
  }

  /** @param sides at most one null, for the side that takes the remaining elements, and one that is computed */
  reshape(x: Value, sides: readonly (Dimension | Value)[]): Value {
    const axis = sides.findIndex(side => typeof side === 'object' && side !== null)
    const shape = sides.map(side => (typeof side === 'object' ? null : side))
    const computed = axis < 0 ? undefined : { axis, length: sides[axis] as Value }
    if (sides.filter(side => side === null).length > 1) {
      throw new UnsupportedModelError(
        `exportGraph: the shapes at ${this.layer} must be fixed but for the batch, got [${shape.join(', ')}]`,
      )
    }
    return this.add({ kind: 'reshape', x, shape, ...(computed && { computed }) }, shape, x.type)
  }

  transpose(x: Value, order: readonly number[]): Value {
    return this.add(
      { kind: 'transpose', x, order },
      order.map(axis => x.shape[axis] ?? null),
      x.type,
    )
  }

  channelRows(x: Value): Value {
    const [batch = null, height, width, channels = null] = x.shape
    return this.add({ kind: 'channel-rows', x }, [batch, channels, this.fixed(height) * this.fixed(width)])
  }

  pad(x: Value, amounts: readonly (readonly [number, number])[]): Value {
    return this.add({ kind: 'pad', x, amounts }, this.grown(x, amounts, 1))
  }

  crop(x: Value, amounts: readonly (readonly [number, number])[]): Value {
    return this.add({ kind: 'crop', x, amounts }, this.grown(x, amounts, -1))
  }

  resize(x: Value, factors: Size2D, mode: 'nearest' | 'bilinear'): Value {
    const [batch = null, height, width, channels = null] = x.shape
    const shape = [batch, this.fixed(height) * factors[0], this.fixed(width) * factors[1], channels]
    return this.add({ kind: 'resize', x, factors, mode }, shape)
  }

  toFloat(x: Value): Value {
    return this.add({ kind: 'to-float', x }, x.shape)
  }

  /** The `count` largest along the last axis, largest first. */
  top(x: Value, count: Count): { readonly values: Value; readonly indices: Value } {
    const shape = [...x.shape.slice(0, -1), typeof count === 'number' ? count : null]
    const values = this.value(shape, 'float')
    const indices = this.value(shape, 'int')
    this.nodes.push({ name: this.layer, operation: { kind: 'top', x, count }, outputs: [values, indices] })
    return { values, indices }
  }

  gather(table: Operand, rows: Value): Value {
    const type = isConstant(table) ? (table.data instanceof Int32Array ? 'int' : 'float') : table.type
    return this.add({ kind: 'gather', table, rows }, [...rows.shape, ...table.shape.slice(1)], type)
  }

  /** @param table (B,N,C), @param rows (B,...) int */
  gatherByImage(table: Value, rows: Value): Value {
    return this.add({ kind: 'gather-by-image', table, rows }, [...rows.shape, table.shape[2] ?? null])
  }

  /** @param x (n) int */
  places(x: Value, equals: number, { orFirst = false } = {}): Value {
    return this.add({ kind: 'places', x, equals, orFirst }, [null], 'int')
  }

  batchStarts(like: Value, step: number): Value {
    return this.add({ kind: 'batch-starts', like, step }, [null], 'int')
  }

  /** (...,1) of x (...,N): NaN where one of the N is not finite, else 0. */
  notFinite(x: Value): Value {
    return this.add({ kind: 'not-finite', x }, [...x.shape.slice(0, -1), 1])
  }

  /** @param rows (P) int, @param updates (P,F) */
  scatter(
    rows: Value,
    updates: Value,
    like: Value,
    rowsPerImage: number,
    { ofExperts, spare = false }: { ofExperts?: ExpertRows; spare?: boolean } = {},
  ): Value {
    const shape = [null, updates.shape[1] ?? null]
    return this.add(
      {
        kind: 'scatter',
        rows,
        updates,
        like,
        rowsPerImage,
        ...(ofExperts && { ofExperts }),
        ...(spare && { spare }),
      },
      shape,
    )
  }

  /** The operation that yields a value; undefined for an input. */
  producer(value: Value): Operation | undefined {
    return this.nodes.find(({ outputs }) => outputs.includes(value))?.operation
  }

  expertConvolution(windows: Value, kernel: Constant, padding: 'same' | 'valid', count: Count): Value {
    const [batch = null, experts = 1, patches = null, height, width] = windows.shape
    const [kernelHeight = 1, kernelWidth = 1, , filters = 1] = kernel.shape
    const lost = padding === 'same' ? [0, 0] : [kernelHeight - 1, kernelWidth - 1]
    const shape = [
      batch,
      experts,
      patches,
      this.fixed(height) - (lost[0] ?? 0),
      this.fixed(width) - (lost[1] ?? 0),
      filters / (experts ?? 1),
    ]
    return this.add({ kind: 'expert-convolution', windows, count, kernel, padding }, shape)
  }

  private add(operation: Operation, shape: Axes, type: ElementType = 'float'): Value {
    const value = this.value(shape, type)
    this.nodes.push({ name: this.layer, operation, outputs: [value] })
    return value
  }

  private value(shape: Axes, type: ElementType): Value {
    return { name: this.unique(this.layer), shape, type }
  }

  private unique(name: string): string {
    const uses = this.names.get(name) ?? 0
    this.names.set(name, uses + 1)
    return uses === 0 ? name : this.unique(`${name}.${uses}`)
  }

  private fixed(side: Dimension | undefined): number {
    if (typeof side === 'number') return side
    throw new UnsupportedModelError(
      `exportGraph: the map at ${this.layer} must have a fixed size, got ${side === null ? 'any' : 'none'}`,
    )
  }

  private slid(
    x: Value,
    window: Size2D,
    { strides, padding, dilations }: Sliding,
    channels: Dimension,
  ): Axes {
    const side = (axis: 0 | 1): number => {
      const length = this.fixed(x.shape[axis + 1])
      const reach = padding === 'same' ? 1 : (window[axis] - 1) * dilations[axis] + 1
      return Math.ceil((length - reach + 1) / strides[axis])
    }
    return [x.shape[0] ?? null, side(0), side(1), channels]
  }

  private grown(x: Value, amounts: readonly (readonly [number, number])[], sign: 1 | -1): Axes {
    return x.shape.map((side, axis) => {
      const [before, after] = amounts[axis] ?? [0, 0]
      return before === 0 && after === 0 ? side : this.fixed(side) + sign * (before + after)
    })
  }
}

/** A float constant. */
export function floats(data: ArrayLike<number>, shape: readonly number[]): Constant {
  return { shape, data: data instanceof Float32Array ? data : Float32Array.from(data) }
}

/** A float constant of one number. */
export function number(value: number): Constant {
  return floats([value], [])
}

/** The shape of two operands combined. */
function broadcast(a: Axes, b: Axes): Axes {
  const rank = Math.max(a.length, b.length)
  const side = (shape: Axes, axis: number): Dimension | undefined => {
    const at = axis - (rank - shape.length)
    return at < 0 ? 1 : shape[at]
  }
  return Array.from({ length: rank }, (_, axis) => {
    const [left = null, right = null] = [side(a, axis), side(b, axis)]
    return left === 1 ? right : left
  })
}
