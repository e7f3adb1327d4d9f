import type { Constant, Operation, Value } from './graph.js'
import { floats, type GraphBuilder } from './graph-builder.js'

type Scatter = Extract<Operation, { kind: 'scatter' }>
type Elementwise = Extract<Operation, { kind: 'affine' | 'unary' | 'clip' | 'leaky-relu' }>

/**
 * The mean over a map that a mixture wrote, computed from the kept patches alone: the map is never made.
 *
 * Where an expert keeps no patch its channels are 0, and whatever is done to each channel by itself turns these zeros
 * into one number a channel, f(0). With R of the H W pixels kept,
 *
 *     mean = (sum over kept pixels of f(y) + (H W - R) f(0)) / (H W)
 *
 * @param x (B,H,W,C) the map, or what channel-by-channel operations (BatchNorm, ReLU) made of it
 * @returns (B,C), or undefined where the map is not that of a mixture
 */
export function meanOfKeptPatches(build: GraphBuilder, x: Value): Value | undefined {
  const source = scatteredMap(build, x)
  if (!source) return undefined
  const { scatter, steps } = source
  const { experts, rowsPerExpert } = scatter.ofExperts
  const [height, width, channels] = x.shape.slice(1) as [number, number, number]
  const own = channels / experts
  const patches = build.reshape(scatter.updates, [null, experts, rowsPerExpert, own])
  const { value: perExpert, missing } = appliedSteps(build, steps, patches)
  const sums = build.reshape(build.reduce(perExpert, 'sum', [2]), [null, channels])
  const pixels = height * width
  const ofZero = steps.reduce(stepOfNumbers, new Float64Array(channels))
  const scale = floats(new Float32Array(channels).fill(1 / pixels), [channels])
  if (typeof rowsPerExpert === 'number') {
    const shift = ofZero.map((value, c) => value - ((value - missing(c)) * rowsPerExpert) / pixels)
    return build.affine(sums, scale, floats(shift, [channels]))
  }
  const ofEmptyMap = build.affine(sums, scale, floats(ofZero, [channels]))
  const ofOneRow = ofZero.map((value, c) => (value - missing(c)) / pixels)
  const ofRows = build.binary('mul', build.toFloat(rowsPerExpert), floats(ofOneRow, [channels]))
  return build.binary('sub', ofEmptyMap, ofRows)
}

/** The scatter that wrote a map, and the operations on each channel by itself that came after it. */
function scatteredMap(build: GraphBuilder, x: Value) {
  const steps: Elementwise[] = []
  let operation = build.producer(x)
  while (operation && isElementwise(operation)) {
    steps.unshift(operation)
    operation = build.producer(operation.x)
  }
  const view = operation?.kind === 'reshape' ? build.producer(operation.x) : undefined
  if (view?.kind !== 'scatter' || !view.ofExperts) return undefined
  return { scatter: view as Scatter & Required<Pick<Scatter, 'ofExperts'>>, steps }
}

function isElementwise(operation: Operation): operation is Elementwise {
  const { kind } = operation
  if (kind === 'unary') return operation.function === 'relu'
  return kind === 'affine' || kind === 'clip' || kind === 'leaky-relu'
}

/**
 * The operations on (B,K,R,F) instead of (B,H,W,K F). The ReLU of a sum with a constant t at their end is max(x, -t), one
 * operation, where t is missing.
 */
function appliedSteps(
  build: GraphBuilder,
  steps: readonly Elementwise[],
  patches: Value,
): { readonly value: Value; readonly missing: (channel: number) => number } {
  const [beforeLast, last] = steps.slice(-2)
  if (beforeLast?.kind !== 'affine' || last?.kind !== 'unary') {
    const value = steps.reduce((value, step) => appliedTo(build, step, value), patches)
    return { value, missing: () => 0 }
  }
  const x = steps.slice(0, -2).reduce((value, step) => appliedTo(build, step, value), patches)
  const { data } = beforeLast.shift
  const scaled = build.binary('mul', x, perExpert(beforeLast.scale, x))
  const negative = perExpert(
    floats(
      data.map(value => -value),
      [data.length],
    ),
    x,
  )
  return { value: build.binary('max', scaled, negative), missing: channel => data[channel] as number }
}

/** Numbers of the channels of (B,K,R,F) as (K,1,F). */
function perExpert({ data }: Constant, { shape }: Value): Constant {
  return floats(data, [shape[1] as number, 1, shape[3] as number])
}

/** The operation on (B,K,R,F) instead of (B,H,W,K F). */
function appliedTo(build: GraphBuilder, step: Elementwise, x: Value): Value {
  switch (step.kind) {
    case 'affine': {
      const scaled = build.binary('mul', x, perExpert(step.scale, x))
      return build.binary('add', scaled, perExpert(step.shift, x))
    }
    case 'unary':
      return build.unary(x, step.function)
    case 'clip':
      return build.clip(x, step.low, step.high)
    case 'leaky-relu':
      return build.leakyRelu(x, step.slope)
  }
}

/** The operation on one number a channel. */
function stepOfNumbers(values: Float64Array, step: Elementwise): Float64Array {
  switch (step.kind) {
    case 'affine':
      return values.map((value, c) => value * (step.scale.data[c] as number) + (step.shift.data[c] as number))
    case 'unary':
      return values.map(value => Math.max(value, 0))
    case 'clip':
      return values.map(value => Math.min(Math.max(value, step.low), step.high))
    case 'leaky-relu':
      return values.map(value => (value < 0 ? value * step.slope : value))
  }
}
