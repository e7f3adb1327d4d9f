import { type Constant, type Graph, isConstant, type Operation, type Value } from '../graph/graph.js'
import { ROUTER } from '../graph/half-plan.js'
import { clipped, type Limits, limitsOf } from '../graph/limits.js'
import { readersOf } from '../graph/readers.js'

/** The smallest and the largest number of a value, over the images that a network was calibrated on. */
export type Range = readonly [low: number, high: number]

/** Ranges by the names of a graph's values, which are the same whenever the same model is written. */
export type Ranges = Readonly<Record<string, Range>>

/** A value as numbers of 8 bits: x is about (q - zeroPoint) scale. */
export interface Steps {
  /** Above 0. */
  readonly scale: number
  /** Which of 0..255 stands for 0. */
  readonly zeroPoint: number
}

/** Numbers of 8 bits with a scale for each output channel: w is about q scale. */
export interface QuantizedWeights {
  readonly data: Int8Array
  readonly shape: readonly number[]
  /** One for each output channel, the last axis. */
  readonly scales: Float32Array
}

/** What of a network is computed with numbers of 8 bits, and what is not. */
export interface QuantizationPlan {
  /** Values that become numbers of 8 bits where they are computed. */
  readonly values: ReadonlySet<Value>
  /** Between which numbers a value makes a difference; the others have no steps of their own. */
  readonly limits: ReadonlyMap<Value, Limits>
  /** Outputs of the products that are computed with them. */
  readonly products: ReadonlySet<Value>
  /** The layers that compute with numbers of 8 bits. */
  readonly layers: readonly string[]
  /** The layers with products that stay in float32, and why. */
  readonly float: readonly { readonly layer: string; readonly why: string }[]
}

/** Chooses which products of a graph are computed with numbers of 8 bits, and which values that takes. */
export function quantizationPlan(graph: Graph): QuantizationPlan {
  const values = new Set<Value>()
  const products = new Set<Value>()
  const layers: string[] = []
  const float: { layer: string; why: string }[] = []
  const readers = readersOf(graph)
  const last = graph.nodes.findLast(({ operation }) => isProduct(operation))
  for (const node of graph.nodes) {
    const { operation, name, outputs } = node
    if (!isProduct(operation)) continue
    const why = node === last ? 'the last product decides the class' : whyFloat(operation)
    if (why) {
      float.push({ layer: name, why })
      continue
    }
    layers.push(name)
    const output = outputs[0] as Value
    products.add(output)
    // Experts' products turn their inputs or take them apart, and round them in between.
    if (operation.kind === 'expert-convolution' || operation.kind === 'batched-product') continue
    values.add(operation.x)
    // A product and its ReLU or ReLU6 are one operation: rounded before it, numbers up to 6 would share a few of the steps of all.
    values.add(clipped(output, readers))
  }
  const limits = new Map([...values, ...products].map(value => [value, limitsOf(value, readers)]))
  return { values, limits, products, layers, float }
}

type Product = Extract<
  Operation,
  { kind: 'convolution' | 'transposed-convolution' | 'dense' | 'batched-product' | 'expert-convolution' }
>

function isProduct(operation: Operation): operation is Product {
  return 'kernel' in operation || 'matrices' in operation
}

function whyFloat(operation: Product): string | undefined {
  if ('exact' in operation && operation.exact) return ROUTER
  switch (operation.kind) {
    case 'convolution':
    case 'expert-convolution':
      return undefined
    case 'dense':
      return operation.x.shape.length === 2 ? undefined : 'a product of several axes'
    case 'batched-product':
      return isConstant(operation.matrices) ? undefined : 'matrices that samples choose'
    case 'transposed-convolution':
      return 'a transposed convolution'
  }
}

/** The values whose ranges a plan needs. */
export function calibratedValues(graph: Graph): readonly Value[] {
  const { values, products } = quantizationPlan(graph)
  const ofExperts = graph.nodes.flatMap(({ operation, outputs: [output] }) => {
    if (!products.has(output as Value)) return []
    if (operation.kind === 'expert-convolution') return [operation.windows, output as Value]
    return operation.kind === 'batched-product' ? [operation.x] : []
  })
  return [...new Set([...values, ...ofExperts])]
}

/**
 * The 256 steps that a range is divided into; 0 is one of them, so that padding stays exact.
 *
 * @param limits beyond which numbers are rounded to the first or the last step; none unless given
 * @throws RangeError when the range is missing, or not of finite numbers
 */
export function stepsOf(
  ranges: Ranges,
  { name }: Value,
  [least, most]: Limits = [-Infinity, Infinity],
): Steps {
  const [low, high] = ranges[name] ?? [Number.NaN, Number.NaN]
  if (!Number.isFinite(low) || !Number.isFinite(high) || low > high) {
    const got = name in ranges ? `[${low}, ${high}]` : 'none'
    throw new RangeError(`exportOnnx: quantize must have a range of finite numbers for ${name}, got ${got}`)
  }
  const [from, to] = [Math.min(Math.max(low, least), 0), Math.max(Math.min(high, most), 0)]
  // Numbers that are too small for float32 have no scale of their own.
  const scale = Math.fround((to - from) / 255) || 1
  const zeroPoint = to > from ? Math.round(-from / ((to - from) / 255)) : 0
  return { scale, zeroPoint: Math.min(255, Math.max(0, zeroPoint)) }
}

/** What a product adds its weights' products to. */
interface Addition {
  /** Of what the weights are multiplied with. */
  readonly steps: Steps
  readonly bias: Constant
}

/** A bias of as many steps leaves the sums of products half of the numbers of 32 bits. */
const MOST_BIAS_STEPS = 2 ** 30

/** Smaller scales are not held exactly in float32 once they are multiplied. */
const LEAST_SCALE = 2 ** -100

/**
 * Rounds weights to -127..127 times a scale for each output channel, the last axis. A channel of weights that are small beside its
 * bias, or 0, has the scale that the bias needs; one without either has scale 1.
 *
 * @param addition the bias that must be held in steps of the product; none unless given
 */
export function quantizedWeights({ data, shape }: Constant, addition?: Addition): QuantizedWeights {
  const channels = shape.at(-1) as number
  const largest = new Float32Array(channels)
  data.forEach((weight, i) => {
    largest[i % channels] = Math.max(largest[i % channels] as number, Math.abs(weight))
  })
  const scales = largest.map((weight, channel) => {
    const scale = Math.max(weight / 127, scaleOfBias(channel, addition))
    return scale > 0 ? Math.max(scale, LEAST_SCALE) : 1
  })
  const rounded = Int8Array.from(data, (weight, i) => Math.round(weight / (scales[i % channels] as number)))
  return { data: rounded, shape, scales }
}

function scaleOfBias(channel: number, addition: Addition | undefined): number {
  if (!addition) return 0
  return Math.abs(addition.bias.data[channel] as number) / addition.steps.scale / MOST_BIAS_STEPS
}

/** A bias in steps of the product: what the format adds to sums of products. */
export function quantizedBias(bias: Constant, x: Steps, weights: QuantizedWeights) {
  const scales = weights.scales.map(scale => scale * x.scale)
  const most = 2 ** 31 - 1
  const data = Int32Array.from(bias.data, (value, i) =>
    Math.min(most, Math.max(-most, Math.round(value / (scales[i] as number)))),
  )
  return { data, scales }
}
