import { narrowFloat16 } from '../../data/formats/narrow-floats.js'
import { type Constant, isConstant, type Layout, type Operand, type Value } from '../graph/graph.js'
import { transposed } from '../graph/transposed.js'
import {
  attributeMessage,
  narrowTensorMessage,
  type OnnxAttribute,
  type OnnxNode,
  type OnnxTensor,
  onnxType,
  tensorMessage,
} from './messages.js'
import {
  type QuantizationPlan,
  type QuantizedWeights,
  type Ranges,
  type Steps,
  stepsOf,
} from './quantization.js'

/** What is written with numbers of 8 bits, and the ranges of these numbers. */
export interface Quantization {
  readonly plan: QuantizationPlan
  readonly ranges: Ranges
}

const TO_NCHW = [0, 3, 1, 2]
const TO_NHWC = [0, 2, 3, 1]

/**
 * The operations and constants of an ONNX graph in the making.
 *
 * ONNX convolves maps in (B,C,H,W) while the graph thinks in (B,H,W,C): a map is transposed, once, where an operation
 * needs the other order; most operations take either.
 */
export class OnnxWriter {
  readonly nodes: OnnxNode[] = []
  readonly initializers: OnnxTensor[] = []
  private readonly namesByLayout = new Map<Value, Partial<Record<Layout, string>>>()
  private readonly constants = new Map<Constant['data'], Map<string, string>>()
  private readonly names = new Set<string>()
  private readonly quantization: Quantization | undefined
  private readonly halves: ReadonlySet<Constant['data']>

  /**
   * @param quantization what is written with numbers of 8 bits; nothing unless given
   * @param halves the constants that are stored as float16, and computed with in float32
   */
  constructor(quantization?: Quantization, halves: ReadonlySet<Constant['data']> = new Set()) {
    this.quantization = quantization
    this.halves = halves
  }

  /**
   * The steps of a value that a product reads or writes with numbers of 8 bits; undefined where it computes in float32.
   *
   * @param output of the product
   */
  steps(value: Value, output: Value): Steps | undefined {
    return this.quantization?.plan.products.has(output) ? this.stepsWithin(value) : undefined
  }

  private stepsWithin(value: Value): Steps {
    const { plan, ranges } = this.quantization as Quantization
    return stepsOf(ranges, value, plan.limits.get(value))
  }

  /**
   * Rounds a tensor of matrices for each expert along its second axis to numbers of 8 bits, and takes it apart.
   *
   * @returns a tensor for each expert, its second axis of length 1
   */
  roundedParts(name: string, { scale, zeroPoint }: Steps, hint: string, count: number): string[] {
    const parameters = [
      this.float(scale, `${hint}_scale`),
      this.narrow(Uint8Array.of(zeroPoint), [], `${hint}_zero`),
    ]
    const rounded = this.emit('QuantizeLinear', [name, ...parameters], `${hint}_rounded`)
    const hints = Array.from({ length: count }, (_, k) => `${hint}_${k}`)
    const parts = count === 1 ? [rounded] : this.emitAll('Split', [rounded], hints, { axis: 1 })
    return parts.map(part => this.emit('DequantizeLinear', [part, ...parameters], `${part}_steps`))
  }

  /** Rounds a tensor to numbers of 8 bits; what reads it computes with them, where the runtime can. */
  rounded(name: string, { scale, zeroPoint }: Steps, hint: string): string {
    const parameters = [
      this.float(scale, `${hint}_scale`),
      this.narrow(Uint8Array.of(zeroPoint), [], `${hint}_zero`),
    ]
    const rounded = this.emit('QuantizeLinear', [name, ...parameters], `${hint}_rounded`)
    return this.emit('DequantizeLinear', [rounded, ...parameters], `${hint}_steps`)
  }

  /** A kernel (...,F) of 8 bits with its axes in the given order, the F output channels first. */
  roundedKernel({ data, shape, scales }: QuantizedWeights, hint: string, order: readonly number[]): string {
    const turned = transposed({ data, shape }, order)
    const channels = order.indexOf(shape.length - 1)
    const inputs = [
      this.narrow(turned.data, turned.shape, hint),
      this.constant({ data: scales, shape: [scales.length] }, `${hint}_scales`),
      this.narrow(new Int8Array(scales.length), [scales.length], `${hint}_zeros`),
    ]
    return this.emit('DequantizeLinear', inputs, `${hint}_steps`, { axis: channels })
  }

  /** A bias of 32 bits in steps of the product that it is added to. */
  roundedBias(data: Int32Array, scales: Float32Array, hint: string): string {
    const inputs = [
      this.narrow(data, [data.length], hint),
      this.constant({ data: scales, shape: [scales.length] }, `${hint}_scales`),
    ]
    return this.emit('DequantizeLinear', inputs, `${hint}_steps`, { axis: 0 })
  }

  private narrow(
    data: Int8Array | Uint8Array | Int32Array | Uint16Array,
    shape: readonly number[],
    hint: string,
  ): string {
    const name = this.unique(hint)
    this.initializers.push(narrowTensorMessage(data, shape, name))
    return name
  }

  /** Records the name of a value in an order of its axes. */
  define(value: Value, name: string, layout: Layout = 'nhwc'): void {
    const isFirst = !this.namesByLayout.has(value)
    const steps = isFirst && this.quantization?.plan.values.has(value) ? this.stepsWithin(value) : undefined
    const written = steps ? this.rounded(name, steps, value.name) : name
    this.namesByLayout.set(value, { ...this.namesByLayout.get(value), [layout]: written })
  }

  /** Whether a map has been computed in this order. */
  has(value: Value, layout: Layout): boolean {
    return this.namesByLayout.get(value)?.[layout] !== undefined
  }

  /** The name of a value in this order of its axes; a map is transposed where necessary. */
  named(value: Value, layout: Layout = 'nhwc'): string {
    const nameByLayout = this.namesByLayout.get(value) ?? {}
    const existing = nameByLayout[layout]
    if (existing !== undefined) return existing
    const other = layout === 'nhwc' ? 'nchw' : 'nhwc'
    const name = this.emit('Transpose', [nameByLayout[other] as string], `${value.name}_${layout}`, {
      perm: layout === 'nhwc' ? TO_NHWC : TO_NCHW,
    })
    this.define(value, name, layout)
    return name
  }

  /** The name of an operand among others of this rank and order. */
  operand(operand: Operand, layout: Layout, rank: number): string {
    if (!isConstant(operand)) return this.named(operand, layout)
    if (layout === 'nhwc') return this.constant(operand, 'constant')
    // Broadcasting would add leading axes; they are written out here, so that they can be transposed.
    const shape = [...new Array<number>(rank - operand.shape.length).fill(1), ...operand.shape]
    return this.constant({ ...operand, shape }, 'constant', operand.shape.length === 0 ? undefined : TO_NCHW)
  }

  /** The name of a constant, with its axes in the given order; stored once. */
  constant({ data, shape }: Constant, hint: string, order?: readonly number[]): string {
    const stored = this.constants.get(data) ?? new Map<string, string>()
    this.constants.set(data, stored)
    const key = `${shape.join()}:${order?.join() ?? ''}`
    const existing = stored.get(key)
    if (existing !== undefined) return existing
    const turned = order ? transposed({ data, shape }, order) : { data, shape }
    const name = this.halves.has(data)
      ? this.half(turned.data as Float32Array, turned.shape, hint)
      : this.full(turned.data, turned.shape, hint)
    stored.set(key, name)
    return name
  }

  private full(data: Constant['data'], shape: readonly number[], hint: string): string {
    const name = this.unique(hint)
    this.initializers.push(tensorMessage(data, shape, name))
    return name
  }

  /** Stored in half the bytes; runtimes widen it once, when the file is loaded. */
  private half(data: Float32Array, shape: readonly number[], hint: string): string {
    const stored = this.narrow(narrowFloat16(data), shape, `${hint}_half`)
    return this.emit('Cast', [stored], hint, { to: onnxType.float })
  }

  /** The name of integers that an operation takes as an input. */
  integers(values: readonly number[], hint: string, shape = [values.length]): string {
    return this.constant({ data: Int32Array.from(values), shape }, hint)
  }

  /** The name of one float that an operation takes as an input. */
  float(value: number, hint: string): string {
    return this.constant({ data: Float32Array.of(value), shape: [] }, hint)
  }

  /** Adds an operation of one output and returns the output's name. */
  emit(
    opType: string,
    input: readonly string[],
    hint: string,
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): string {
    return this.emitAll(opType, input, [hint], attributes)[0] as string
  }

  /** Adds an operation and returns its outputs' names. */
  emitAll(
    opType: string,
    input: readonly string[],
    hints: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): string[] {
    const output = hints.map(hint => this.unique(hint))
    const attribute = Object.entries(attributes).map(([name, value]) => attributeMessage(name, value))
    this.nodes.push({ name: output[0] as string, opType, input, output, attribute })
    return output
  }

  /** Reserves the name of an input or an output of the graph. */
  reserve(name: string): string {
    this.names.add(name)
    return name
  }

  private unique(hint: string): string {
    let name = hint
    for (let count = 1; this.names.has(name); count++) name = `${hint}:${count}`
    this.names.add(name)
    return name
  }
}
