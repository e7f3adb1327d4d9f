import { type Constant, isConstant, type Operand, type Value } from '../graph/graph.js'
import { type TensorFlowAttribute, type TensorFlowNode, tensor, tensorflowType } from './messages.js'

/** The operations and constants of a TensorFlow graph in the making. */
export class TensorFlowWriter {
  readonly nodes: TensorFlowNode[] = []
  private readonly valueNames = new Map<Value, string>()
  private readonly constants = new Map<Constant['data'], Map<string, string>>()
  private readonly names = new Set<string>()

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
    const dtype = data instanceof Float32Array ? tensorflowType.float : tensorflowType.int
    const name = this.emit('Const', [], hint, { dtype: { type: dtype }, value: tensor(data, shape) })
    stored.set(key, name)
    return name
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
