import * as tf from '@tensorflow/tfjs-core'

/** Weights of at most so many numbers are stepped together. */
const MOST_NUMBERS = 2 ** 14

/** tfjs exports no name for it. */
type NamedTensor = Awaited<ReturnType<tf.Optimizer['getWeights']>>[number]

/** A weight by the name of its variable, and its gradient: null where the loss does not depend on it. */
type WeightGradient = Omit<NamedTensor, 'tensor'> & { readonly tensor: tf.Tensor | null | undefined }

/** The moments of several weights, laid one after the other. */
interface JointMoments {
  /** Places of these weights among all. */
  readonly places: readonly number[]
  readonly first: tf.Variable<tf.Rank.R1>
  readonly second: tf.Variable<tf.Rank.R1>
}

/** What tfjs's declarations call private. */
interface AdamState {
  readonly accBeta1: tf.Variable
  readonly accBeta2: tf.Variable
  /** By the place of the weight; made at the first step. */
  readonly accumulatedFirstMoment: readonly { readonly variable: tf.Variable }[]
  readonly accumulatedSecondMoment: readonly { readonly variable: tf.Variable }[]
}

/**
 * tfjs's Adam, which steps all small weights as one: where a network has many of them, a step otherwise goes to the cost of some 14
 * operations for each. Numbers, class name, configuration and state are those of tfjs.
 */
export class JointAdam extends tf.AdamOptimizer {
  private joint: JointMoments | undefined

  override applyGradients(given: tf.NamedTensorMap | NamedTensor[]): void {
    const gradients: readonly WeightGradient[] = Array.isArray(given)
      ? given
      : Object.entries(given).map(([name, tensor]) => ({ name, tensor }))
    const places = [...gradients.keys()].filter(place => isSmall(gradients[place]?.tensor))
    if (this.joint?.places.join() !== places.join()) this.separateMoments()
    const isJoint = places.length > 1
    if (isJoint) {
      this.joint ??= this.joined(places, gradients)
      stepTogether(
        this.joint,
        places.map(place => gradients[place] as NamedTensor),
        this.rates,
      )
    }
    // Of a weight without a gradient tfjs makes the moments and steps nothing.
    const others = gradients.map((one, place) =>
      isJoint && places.includes(place) ? { ...one, tensor: null } : one,
    )
    super.applyGradients(others as NamedTensor[])
  }

  /** Gives each weight its own moments back, as tfjs keeps them. */
  separateMoments(): void {
    this.writeMoments()
    this.forget()
  }

  override async getWeights(): Promise<NamedTensor[]> {
    this.writeMoments()
    return super.getWeights()
  }

  override async setWeights(weightValues: NamedTensor[]): Promise<void> {
    this.forget()
    await super.setWeights(weightValues)
  }

  override dispose(): void {
    this.forget()
    super.dispose()
  }

  private get state(): AdamState {
    return this as unknown as AdamState
  }

  private get rates(): AdamRates {
    const { beta1, beta2, epsilon, learningRate } = this
    const { accBeta1, accBeta2 } = this.state
    return { beta1, beta2, epsilon, learningRate, accBeta1, accBeta2 }
  }

  private joined(places: readonly number[], gradients: readonly WeightGradient[]): JointMoments {
    const start = (moments: AdamState['accumulatedFirstMoment'], place: number): tf.Tensor1D => {
      const own = moments[place]?.variable
      return own ? flat(own) : tf.zerosLike(flat(gradients[place]?.tensor as tf.Tensor))
    }
    const vector = (moments: AdamState['accumulatedFirstMoment']) =>
      tf.tidy(() => tf.variable(tf.concat1d(places.map(place => start(moments, place))), false))
    const { accumulatedFirstMoment, accumulatedSecondMoment } = this.state
    return { places, first: vector(accumulatedFirstMoment), second: vector(accumulatedSecondMoment) }
  }

  private writeMoments(): void {
    if (!this.joint) return
    const { places, first, second } = this.joint
    const { accumulatedFirstMoment, accumulatedSecondMoment } = this.state
    for (const [moments, vector] of [
      [accumulatedFirstMoment, first],
      [accumulatedSecondMoment, second],
    ] as const) {
      const own = places.map(place => (moments[place] as { readonly variable: tf.Variable }).variable)
      tf.tidy(() => {
        for (const [i, part] of parts(vector, own).entries()) own[i]?.assign(part)
      })
    }
  }

  private forget(): void {
    if (this.joint) tf.dispose([this.joint.first, this.joint.second])
    this.joint = undefined
  }
}

/** What a step of Adam depends on besides gradients and moments. */
interface AdamRates extends Pick<AdamState, 'accBeta1' | 'accBeta2'> {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly learningRate: number
}

/** The operations of tfjs's step in its order, on one vector. */
function stepTogether({ first, second }: JointMoments, weights: readonly NamedTensor[], rates: AdamRates) {
  const { beta1, beta2, epsilon, learningRate, accBeta1, accBeta2 } = rates
  const variables = weights.map(({ name }) => tf.engine().registeredVariables[name] as tf.Variable)
  tf.tidy(() => {
    const gradient = tf.concat1d(weights.map(({ tensor }) => flat(tensor)))
    first.assign(tf.add(tf.mul(first, beta1), tf.mul(gradient, 1 - beta1)))
    second.assign(tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), 1 - beta2)))
    const mean = tf.div(first, tf.sub(1, accBeta1))
    const deviation = tf.sqrt(tf.div(second, tf.sub(1, accBeta2)))
    const change: tf.Tensor1D = tf.mul(tf.div(mean, tf.add(deviation, epsilon)), -learningRate)
    for (const [i, part] of parts(change, variables).entries()) {
      const variable = variables[i] as tf.Variable
      variable.assign(tf.add(part, variable))
    }
  })
}

function isSmall(tensor: tf.Tensor | null | undefined): boolean {
  return tensor ? tensor.size <= MOST_NUMBERS : false
}

function flat(tensor: tf.Tensor): tf.Tensor1D {
  return tensor.rank === 1 ? (tensor as tf.Tensor1D) : tf.reshape(tensor, [-1])
}

/** A vector in parts that have the shapes of these tensors. */
function parts(vector: tf.Tensor1D, like: readonly tf.Tensor[]): tf.Tensor[] {
  const split = tf.split(
    vector,
    like.map(({ size }) => size),
  )
  return split.map((part, i) => (like[i]?.rank === 1 ? part : tf.reshape(part, (like[i] as tf.Tensor).shape)))
}
