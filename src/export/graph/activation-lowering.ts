import type { Value } from './graph.js'
import { type GraphBuilder, number } from './graph-builder.js'

type Activate = (build: GraphBuilder, x: Value) => Value

/** tfjs's activations by their names in a layer's configuration. */
const activations: Readonly<Record<string, Activate>> = {
  linear: (_, x) => x,
  relu: (build, x) => build.unary(x, 'relu'),
  relu6: (build, x) => build.clip(x, 0, 6),
  elu: (build, x) => build.unary(x, 'elu'),
  selu: (build, x) => build.unary(x, 'selu'),
  sigmoid: (build, x) => build.unary(x, 'sigmoid'),
  hardSigmoid: (build, x) => build.clip(scaled(build, x, 0.2, 0.5), 0, 1),
  softplus: (build, x) => build.unary(x, 'softplus'),
  softsign: (build, x) => build.unary(x, 'softsign'),
  tanh: (build, x) => build.unary(x, 'tanh'),
  softmax: (build, x) => build.softmax(x),
  logSoftmax: (build, x) => build.softmax(x, { logarithm: true }),
  swish: (build, x) => build.binary('mul', x, build.unary(x, 'sigmoid')),
  mish: (build, x) => build.binary('mul', x, build.unary(build.unary(x, 'softplus'), 'tanh')),
  gelu: (build, x) => {
    const share = build.unary(scaled(build, x, Math.SQRT1_2, 0), 'erf')
    return build.binary('mul', x, scaled(build, share, 0.5, 0.5))
  },
  gelu_new: (build, x) => {
    const cube = build.binary('mul', build.binary('mul', x, x), x)
    const inner = build.binary('add', x, scaled(build, cube, 0.044715, 0))
    const share = build.unary(scaled(build, inner, Math.sqrt(2 / Math.PI), 0), 'tanh')
    return build.binary('mul', x, scaled(build, share, 0.5, 0.5))
  },
}

/**
 * Applies an activation as a layer's configuration names it.
 *
 * @returns undefined for an unknown name
 */
export function activated(build: GraphBuilder, x: Value, name: unknown): Value | undefined {
  if (name === undefined || name === null) return x
  if (typeof name !== 'string' || !Object.hasOwn(activations, name)) return undefined
  return activations[name]?.(build, x)
}

/** x factor + offset. */
export function scaled(build: GraphBuilder, x: Value, factor: number, offset: number): Value {
  const product = factor === 1 ? x : build.binary('mul', x, number(factor))
  return offset === 0 ? product : build.binary('add', product, number(offset))
}
