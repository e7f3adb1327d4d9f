import { narrowFloat16 } from '../../data/formats/narrow-floats.js'
import { type Constant, isConstant, type Operand, type Value } from '../graph/graph.js'
import { type TensorFlowAttribute, type TensorFlowNode, tensor, tensorflowType, typeOf } from './messages.js'

/** The operations and constants of a TensorFlow graph in the making. */
export class TensorFlowWriter {
  readonly nodes: TensorFlowNode[] = []
  private readonly valueNames = new Map<Value, string>()
  private readonly constants = new Map<Constant['data'], Map<string, string>>()
  private readonly names = new Set<string>()
  private readonly halves: ReadonlySet<Constant['data']>

  /** @param halves the constants that are stored as float16, and computed with in float32 */
  constructor(halves: ReadonlySet<Constant['data']> = new Set()) {
    this.halves = halves
  }

  /** Records the name of a value. */
  define(value: Value, name: string): void {
    this.valueNames.set(value, name)
  }

  /** The name of an operand. */
  named(operand: Operand): string {
    return isConstant(operand) ? this.constant(operand, 'constant') : (this.valueNames.get(operand) as string)
  }

  /** The name of a constant; stored once. */
  constant({ data, shape }: Constant, hint: string): string {
    const stored = this.constants.get(data) ?? new Map<string, string>()
    this.constants.set(data, stored)
    const key = shape.join()
    const existing = stored.get(key)
    if (existing !== undefined) return existing
    const name = this.halves.has(data)
      ? this.half(data as Float32Array, shape, hint)
      : this.stored(data, shape, hint)
    stored.set(key, name)
    return name
  }

  private stored(data: Constant['data'] | Uint16Array, shape: readonly number[], hint: string): string {
    return this.emit('Const', [], hint, { dtype: { type: typeOf(data) }, value: tensor(data, shape) })
  }

  /** Stored in half the bytes; TensorFlow widens it once, when the graph is loaded, but what takes over 10 MB in each run. */
  private half(data: Float32Array, shape: readonly number[], hint: string): string {
    const halves = this.stored(narrowFloat16(data), shape, `${hint}_half`)
    const types = { SrcT: { type: tensorflowType.half }, DstT: { type: tensorflowType.float } }
    return this.emit('Cast', [halves], hint, types)
  }

  /** The name of integers that an operation takes as an input. */
  integers(values: readonly number[], hint: string, shape = [values.length]): string {
    return this.constant({ data: Int32Array.from(values), shape }, hint)
  }

  /** Adds an operation on floats; its first output has the name that is returned, the others `name:1` and so on. */
  floats(
    op: string,
    input: readonly string[],
    hint: string,
    attributes: Readonly<Record<string, TensorFlowAttribute>> = {},
  ): string {
    return this.emit(op, input, hint, { T: { type: tensorflowType.float }, ...attributes })
  }

  /** Adds an operation with exactly these attributes. */
  emit(
    op: string,
    input: readonly string[],
    hint: string,
    attr: Readonly<Record<string, TensorFlowAttribute>>,
  ): string {
    const name = this.unique(hint)
    this.nodes.push({ name, op, input, attr })
    return name
  }

  /** TensorFlow takes letters, digits and `_.\-/` in names, and compares them without their case. */
  private unique(hint: string): string {
    const plain = hint.replace(/[^A-Za-z0-9_.\-/]/g, '_').replace(/^[^A-Za-z0-9.]/, 'x$&')
    let name = plain
    for (let count = 1; this.names.has(name.toLowerCase()); count++) name = `${plain}_${count}`
    this.names.add(name.toLowerCase())
    return name
  }
}
