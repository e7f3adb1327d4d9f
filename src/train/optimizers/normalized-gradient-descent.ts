import * as tf from '@tensorflow/tfjs-core'

/** The norms that a gradient can be divided by. */
export const GRADIENT_NORMS = ['frobenius', 'sum'] as const

/**
 * What the gradient of one part is divided by: `frobenius`, the l2 norm of all its weights as one vector; `sum`, the sum of
 * the norms of its weights, which is up to sqrt(number of weights) larger.
 */
export type GradientNorm = (typeof GRADIENT_NORMS)[number]

/** Variables that are normalised together. */
export interface VariableGroup {
  /** Names of the variables. */
  readonly variables: readonly string[]
  /** In how many equal consecutive parts the last axis of each is cut; part i of all of them is normalised together. */
  readonly parts: number
}

/** How variables are stepped. */
export interface NormalizedGradientDescentOptions {
  readonly learningRate: number
  /** Share of the last direction that is kept, in [0, 1); 0 unless given. */
  readonly momentum?: number
  /** `frobenius` unless given. */
  readonly norm?: GradientNorm
  /** The share of the weights that is added to the direction; 0 unless given. */
  readonly l2?: number
  readonly groups: readonly VariableGroup[]
  /** Learning rates of variables, by name, in the place of `learningRate`. */
  readonly rates?: Readonly<Record<string, number>>
}

/**
 * Normalised gradient descent (Chen et al., NeurIPS 2022, Algorithm 1): every part of a group moves by the learning rate,
 * however long its gradient is.
 *
 * - part i of a group: d = g / ||g|| + l2 w; a <- momentum a + d; w <- w - rate a. A part whose gradient is 0 stays as it
 *   is, with its direction a: an expert that got no sample does not move.
 * - variables in no group: w <- w - rate (g + l2 w)
 *
 * The norm is computed relative to the largest entry, so that it neither overflows nor becomes 0 before the gradient does.
 * Everything stays on the backend.
 */
export class NormalizedGradientDescent extends tf.Optimizer {
  static readonly className = 'NormalizedGD'
  readonly learningRate: number
  private readonly options: Required<NormalizedGradientDescentOptions>
  /** The directions a of the grouped variables, in the order of the groups; none without momentum. */
  private readonly directions = new Map<string, tf.Variable>()
  private readonly grouped: ReadonlySet<string>

  /**
   * @param options names of variables that exist; numbers in their ranges
   * @throws RangeError when a variable does not exist, is in two groups, or has a last axis that its parts do not divide
   */
  constructor(options: NormalizedGradientDescentOptions) {
    super()
    const { learningRate, momentum = 0, norm = 'frobenius', l2 = 0, groups, rates = {} } = options
    this.learningRate = learningRate
    this.options = { learningRate, momentum, norm, l2, groups, rates }
    checkGroups(groups)
    this.grouped = new Set(groups.flatMap(({ variables }) => variables))
    if (momentum === 0) return
    for (const name of this.grouped) {
      const direction = tf.tidy(() => tf.variable(tf.zerosLike(variableNamed(name)), false))
      this.directions.set(name, direction)
    }
  }

  override applyGradients(gradients: tf.NamedTensorMap | { name: string; tensor: tf.Tensor }[]): void {
    const ofVariables = new Map<string, tf.Tensor>()
    const named = Array.isArray(gradients) ? gradients : namedIn(gradients)
    for (const { name, tensor } of named) if (tensor) ofVariables.set(name, tensor)
    tf.tidy(() => {
      for (const group of this.options.groups) this.stepGroup(group, ofVariables)
      for (const [name, gradient] of ofVariables) {
        if (!this.grouped.has(name)) this.stepPlainly(name, gradient)
      }
    })
    this.incrementIterations()
  }

  /** The shapes of the tensors that the optimizer keeps from step to step, in the order of `getWeights`. */
  get slotShapes(): readonly (readonly number[])[] {
    return [...this.directions.values()].map(({ shape }) => shape)
  }

  override async getWeights(): Promise<{ name: string; tensor: tf.Tensor }[]> {
    const directions = [...this.directions].map(([name, tensor]) => ({ name: `${name}/direction`, tensor }))
    return [await this.saveIterations(), ...directions]
  }

  override async setWeights(weights: { name: string; tensor: tf.Tensor }[]): Promise<void> {
    const own = await this.extractIterations(weights)
    for (const [i, direction] of [...this.directions.values()].entries()) {
      direction.assign((own[i] as { tensor: tf.Tensor }).tensor)
    }
  }

  override dispose(): void {
    for (const direction of this.directions.values()) direction.dispose()
    this.directions.clear()
  }

  override getConfig(): tf.serialization.ConfigDict {
    const { groups, rates, ...numbers } = this.options
    const copies = groups.map(({ variables, parts }) => ({ variables: [...variables], parts }))
    return { ...numbers, groups: copies, rates: { ...rates } }
  }

  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    return new cls(config)
  }

  private stepGroup({ variables, parts }: VariableGroup, gradients: ReadonlyMap<string, tf.Tensor>): void {
    const members = variables.flatMap(name => {
      const gradient = gradients.get(name)
      return gradient ? [{ name, gradient: inParts(gradient, parts) }] : []
    })
    if (members.length === 0) return
    const largest = members
      .map(({ gradient }) => largestOfParts(gradient))
      .reduce((most, each) => tf.maximum(most, each))
    const scale = perPart(tf.div(1, tf.maximum(largest, leastDivisor)))
    const relative = members.map(({ name, gradient }) => ({
      name,
      gradient: tf.mul<tf.Tensor3D>(gradient, scale),
    }))
    const squares = relative.map(({ gradient }) => sumOfParts(tf.square(gradient)))
    const norm =
      this.options.norm === 'sum' ? tf.addN(squares.map(each => tf.sqrt(each))) : tf.sqrt(tf.addN(squares))
    const inverse = perPart(tf.div(1, tf.maximum(norm, leastDivisor)))
    if (this.isPlain) {
      for (const { name, gradient } of relative) {
        this.move(name, tf.mul(gradient, tf.mul(inverse, this.rateOf(name))))
      }
      return
    }
    // 1 for the parts that move, 0 for those whose gradient is 0.
    const moves = perPart(tf.cast(tf.greater(norm, 0), 'float32'))
    for (const { name, gradient } of relative) this.stepParts(name, tf.mul(gradient, inverse), moves)
  }

  /** Whether a step is the normalised gradient alone. */
  private get isPlain(): boolean {
    return this.options.momentum === 0 && this.options.l2 === 0
  }

  /**
   * Steps the parts of a variable that move.
   *
   * @param unit (rows, parts, columns) the normalised gradient, 0 in parts that do not move
   * @param moves (1, parts, 1) 0 or 1
   */
  private stepParts(name: string, unit: tf.Tensor3D, moves: tf.Tensor3D): void {
    const { momentum, l2 } = this.options
    const weights = tf.reshape(variableNamed(name), unit.shape)
    const decayed = l2 === 0 ? unit : tf.add(unit, tf.mul(tf.mul(weights, l2), moves))
    const direction = this.directions.get(name)
    if (!direction) {
      this.move(name, tf.mul(decayed, this.rateOf(name)))
      return
    }
    const before = tf.reshape(direction, unit.shape)
    const after = tf.add(tf.mul(before, tf.sub(1, tf.mul(moves, 1 - momentum))), decayed)
    direction.assign(tf.reshape(after, direction.shape))
    this.move(name, tf.mul(tf.mul(after, moves), this.rateOf(name)))
  }

  /** @param step of any shape with as many values as the variable */
  private move(name: string, step: tf.Tensor): void {
    const variable = variableNamed(name)
    variable.assign(tf.sub(variable, tf.reshape(step, variable.shape)))
  }

  private stepPlainly(name: string, gradient: tf.Tensor): void {
    const { l2 } = this.options
    const variable = variableNamed(name)
    const direction = l2 === 0 ? gradient : tf.add(gradient, tf.mul(variable, l2))
    variable.assign(tf.sub(variable, tf.mul(direction, this.rateOf(name))))
  }

  private rateOf(name: string): number {
    const { rates, learningRate } = this.options
    const rate = rates[name]
    // Rates of their own follow the schedule of the learning rate.
    return rate === undefined ? this.learningRate : rate * (this.learningRate / learningRate)
  }
}

/** Whether an optimizer is a {@link NormalizedGradientDescent}. */
export function isNormalized(optimizer: tf.Optimizer): optimizer is NormalizedGradientDescent {
  // tf.Optimizer answers `instanceof` for the optimizers of all classes, also where one derived from it is asked.
  return optimizer.getClassName() === NormalizedGradientDescent.className
}

/** Nothing is divided by less, since the inverse would overflow. */
const leastDivisor = 1e-37

function namedIn(gradients: tf.NamedTensorMap): { name: string; tensor: tf.Tensor }[] {
  return Object.entries(gradients).map(([name, tensor]) => ({ name, tensor }))
}

function variableNamed(name: string): tf.Variable {
  const variable = tf.engine().registeredVariables[name]
  if (variable) return variable
  throw new RangeError(`normalized-gd: groups must name variables that exist, got ${name}`)
}

function checkGroups(groups: readonly VariableGroup[]): void {
  const names = groups.flatMap(({ variables }) => variables)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) {
    throw new RangeError(`normalized-gd: groups must have each weight once, got ${twice} twice`)
  }
  for (const { variables, parts } of groups) {
    if (!Number.isInteger(parts) || parts < 1) {
      throw new RangeError(`normalized-gd: parts of a group must be a positive integer, got ${parts}`)
    }
    for (const name of variables) {
      const { shape } = variableNamed(name)
      const last = shape.at(-1) ?? 1
      if (last % parts === 0) continue
      throw new RangeError(
        `normalized-gd: parts of a group must divide the last axis of its weights, got ${parts} ` +
          `(${name} [${shape.join(', ')}])`,
      )
    }
  }
}

/** The values of a variable, (rows, parts, columns): its last axis cut into equal consecutive parts. */
function inParts(tensor: tf.Tensor, parts: number): tf.Tensor3D {
  const last = tensor.shape.at(-1) ?? 1
  return tf.reshape(tensor, [tensor.size / Math.max(last, 1), parts, last / parts])
}

/** The largest magnitude of each part, (parts). */
function largestOfParts(values: tf.Tensor3D): tf.Tensor {
  return tf.max(tf.max(tf.abs(values), 2), 0)
}

/** The sum of each part, (parts). */
function sumOfParts(values: tf.Tensor3D): tf.Tensor1D {
  return tf.sum(tf.sum(values, 2), 0)
}

/** One number a part, (1, parts, 1). */
function perPart(values: tf.Tensor): tf.Tensor3D {
  return tf.reshape(values, [1, values.size, 1])
}
