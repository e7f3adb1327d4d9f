import { type GraphNode, isConstant, type Operation, type UnaryFunction, type Value } from './graph.js'
import type { Readers } from './readers.js'

/** The smallest and the largest number that makes a difference; infinite where each does. */
export type Limits = readonly [low: number, high: number]

const EVERY: Limits = [-Infinity, Infinity]

/** Beyond these a function changes by less than half of 1/255 of its own range. */
const flatBeyond: Partial<Readonly<Record<UnaryFunction, Limits>>> = {
  relu: [0, Infinity],
  sigmoid: [-7, 7],
  tanh: [-4, 4],
  elu: [-7, Infinity],
  selu: [-7, Infinity],
}

/** What is left of a value where a ReLU or a clip alone reads it, or several in turn; else the value itself. */
export function clipped(value: Value, readers: Readers): Value {
  const [only, ...others] = readers.get(value) ?? []
  if (!only || others.length > 0 || !clips(only)) return value
  return clipped(only.outputs[0] as Value, readers)
}

function clips({ operation }: GraphNode): boolean {
  return operation.kind === 'clip' || (operation.kind === 'unary' && operation.function === 'relu')
}

/** Between which numbers a value makes a difference to what reads it: -2.5 and 2.5 before a hard sigmoid. */
export function limitsOf(value: Value, readers: Readers): Limits {
  const limits = (readers.get(value) ?? [undefined]).map(reader => limitsBefore(reader, readers))
  return [Math.min(...limits.map(([low]) => low)), Math.max(...limits.map(([, high]) => high))]
}

function limitsBefore(reader: GraphNode | undefined, readers: Readers): Limits {
  if (!reader) return EVERY
  const { operation } = reader
  const after = () => limitsOf(reader.outputs[0] as Value, readers)
  switch (operation.kind) {
    case 'clip':
      return [operation.low, operation.high]
    case 'unary':
      return flatBeyond[operation.function] ?? EVERY
    case 'binary':
      return beforeNumber(operation, after)
    case 'pool':
      return operation.function === 'max' ? after() : EVERY
    case 'concat':
    case 'crop':
    case 'pad':
    case 'reshape':
    case 'transpose':
    case 'channel-rows':
      return after()
    default:
      return EVERY
  }
}

/** Of x in x + number and x number. */
function beforeNumber(
  { a, b, function: name }: Extract<Operation, { kind: 'binary' }>,
  after: () => Limits,
): Limits {
  const number = !isConstant(a) && isConstant(b) && b.data.length === 1 ? (b.data[0] as number) : undefined
  if (number === undefined) return EVERY
  if (name === 'add') return after().map(limit => limit - number) as unknown as Limits
  if (name !== 'mul' || number === 0) return EVERY
  const [first, second] = after().map(limit => limit / number) as [number, number]
  return [Math.min(first, second), Math.max(first, second)]
}
