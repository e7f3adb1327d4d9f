import { type Constant, isConstant, type Layout, type Operand, type Value } from '../graph/graph.js'
import { transposed } from '../graph/transposed.js'
import {
  attributeMessage,
  type OnnxAttribute,
  type OnnxNode,
  type OnnxTensor,
  tensorMessage,
} from './messages.js'

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

  /** Records the name of a value in an order of its axes. */
  define(value: Value, name: string, layout: Layout = 'nhwc'): void {
    this.namesByLayout.set(value, { ...this.namesByLayout.get(value), [layout]: name })
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
    const name = this.unique(hint)
    this.initializers.push(tensorMessage(turned.data, turned.shape, name))
    stored.set(key, name)
    return name
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
