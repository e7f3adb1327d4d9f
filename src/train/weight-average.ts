import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { StoredTensor } from '../data/formats/safetensors.js'
import { layerOps } from '../layers/ops.js'
import { isMovingStatistic } from './moving-statistics.js'
import { restoreTensor, storeTensor } from './stored-tensors.js'

/** Averages as checkpoints hold them: by the names of their weights, in order. */
export type StoredAverage = readonly (readonly [name: string, tensor: StoredTensor])[]

/** How the weights of a model are averaged. */
export interface AverageOptions {
  /** Share of the average that stays in each step, in (0, 1), once many steps are done. */
  readonly decay: number
  /** Whether the moving statistics of normalizations are averaged as well. */
  readonly movingStatistics: boolean
}

/**
 * The exponential moving average of a model's weights over the steps of its training.
 *
 * After step n, from 1: average <- average + (1 - d)(weight - average), d = min(decay, (1 + n)/(10 + n)), which lets the average
 * follow the first steps, when the weights are far from good. It begins with the weights as they are, and takes as much memory as the
 * weights that are averaged: those that are trained.
 */
export class WeightAverage {
  private readonly names: readonly string[]
  private readonly variables: readonly tf.Variable[]
  private readonly averages: readonly tf.Variable[]
  private readonly decay: number

  constructor(model: tfl.LayersModel, { decay, movingStatistics }: AverageOptions) {
    const trained = new Set(model.trainableWeights)
    const averaged = model.weights.filter(
      weight => trained.has(weight) || (movingStatistics && isMovingStatistic(weight)),
    )
    this.decay = decay
    this.names = averaged.map(({ originalName }) => originalName)
    this.variables = averaged.map(weight => weight.read() as tf.Variable)
    this.averages = this.variables.map(variable => tf.tidy(() => tf.variable(tf.clone(variable), false)))
  }

  /**
   * Takes the weights after a step into the average.
   *
   * @param steps of the whole training that are done, this one included
   */
  update(steps: number): void {
    const moves = this.averages.map((average, i) => ({ average, value: this.variables[i] as tf.Variable }))
    layerOps().moveAverages(moves, Math.min(this.decay, (1 + steps) / (10 + steps)), 'difference')
  }

  /** Runs something with the averages as the weights of the model, which then gets its own back. */
  async during<T>(measure: () => Promise<T>): Promise<T> {
    this.exchange()
    try {
      return await measure()
    } finally {
      this.exchange()
    }
  }

  /** Gives the model the averages as its weights; a second call gives it its own back. Nothing is copied. */
  exchange(): void {
    tf.tidy(() => {
      for (const [i, average] of this.averages.entries()) {
        const variable = this.variables[i] as tf.Variable
        const own = tf.clone(variable)
        variable.assign(average)
        average.assign(own)
      }
    })
  }

  /** Copies the averages to memory, exactly. */
  async read(): Promise<StoredAverage> {
    const stored: [string, StoredTensor][] = []
    for (const [i, average] of this.averages.entries()) {
      stored.push([`${String(i).padStart(4, '0')}/${this.names[i]}`, await storeTensor(average)])
    }
    return stored
  }

  /**
   * Goes on from averages that were read.
   *
   * @param where the caller, for errors
   * @throws RangeError when they are not those of these weights; nothing is changed then
   */
  restore(stored: StoredAverage, where: string): void {
    if (stored.length !== this.averages.length) {
      throw new RangeError(
        `${where}: checkpoint must have averages of ${this.averages.length} weights, got ${stored.length}`,
      )
    }
    for (const [i, [name, tensor]] of stored.entries()) {
      const shape = (this.averages[i] as tf.Variable).shape.join(', ')
      if (tensor.shape.join(', ') === shape) continue
      throw new RangeError(
        `${where}: checkpoint must have an average of ${this.names[i]} [${shape}], ` +
          `got ${name.slice(name.indexOf('/') + 1)} [${tensor.shape.join(', ')}]`,
      )
    }
    tf.tidy(() => {
      for (const [i, [, tensor]] of stored.entries()) this.averages[i]?.assign(restoreTensor(tensor))
    })
  }

  /** Goes on from the averages of another model part: those of the weights that it has, too. */
  takeOver({ variables, averages }: WeightAverage): void {
    for (const [i, variable] of this.variables.entries()) {
      const average = averages[variables.indexOf(variable)]
      if (average) this.averages[i]?.assign(average)
    }
  }

  dispose(): void {
    tf.dispose([...this.averages])
  }
}
