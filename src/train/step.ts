import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageBatch } from '../data/image-set.js'
import { fixInput } from '../layers/fixed-inputs.js'
import type { ImageShape } from '../shapes.js'
import { releaseEarly } from './early-release.js'
import type { ClassifierLoss } from './loss.js'
import { upload } from './upload.js'

/** What one step needs. */
export interface StepParts {
  readonly model: tfl.LayersModel
  readonly classifier: ClassifierLoss
  readonly optimizer: tf.Optimizer
  /** For each trainable weight, how many times longer its step is than the optimizer's; all 1 unless given. */
  readonly stepFactors?: readonly number[] | undefined
  readonly shape: ImageShape
}

/** The numbers that a step measured. */
export interface StepNumbers {
  /** The loss that was minimised, mean over the batch with the penalties of regularizers. */
  readonly loss: number
  /** Images of the batch that were classified rightly before the step. */
  readonly correct: number
}

/**
 * Takes one step of training: applies the model in training mode, and steps its trainable weights down the gradient
 * of the loss; then applies the constraints of the weights.
 *
 * @returns the numbers, once the backend has them; the step itself is handed to the backend at once
 */
export function takeStep(
  { model, classifier, optimizer, stepFactors, shape }: StepParts,
  batch: ImageBatch,
): Promise<StepNumbers> {
  const numbers = tf.tidy(() => {
    const x = fixInput(upload(batch.images, shape))
    const labels = tf.tensor1d(batch.labels, 'int32')
    const weights = model.trainableWeights
    const variables = weights.map(weight => weight.read() as tf.Variable)
    let correct: tf.Scalar | undefined
    const { value, grads } = tf.variableGrads(() => {
      const logits = classifier.logits(x, true)
      correct = tf.keep(classifier.correct(logits, labels))
      const penalties = model.calculateLosses()
      const loss = penalties.reduce<tf.Scalar>(
        (sum, penalty) => tf.add(sum, tf.reshape(penalty, [])) as tf.Scalar,
        classifier.loss(logits, labels),
      )
      releaseEarly()
      return loss
    }, variables)
    const starts =
      stepFactors && variables.map((variable, i) => (stepFactors[i] === 1 ? undefined : variable.clone()))
    // A list fixes the order in which the optimizer keeps its slots; weights without a gradient are skipped.
    optimizer.applyGradients(
      variables.map(({ name }) => ({ name, tensor: grads[name] }) as { name: string; tensor: tf.Tensor }),
    )
    for (const [i, start] of (starts ?? []).entries()) {
      if (start) lengthenStep(variables[i] as tf.Variable, start, stepFactors?.[i] ?? 1)
    }
    applyConstraints(weights)
    const counted = correct as unknown as tf.Scalar
    const both = tf.stack([value, tf.cast(counted, 'float32')])
    counted.dispose()
    return both
  })
  return readNumbers(numbers)
}

async function readNumbers(numbers: tf.Tensor): Promise<StepNumbers> {
  try {
    const [loss = Number.NaN, correct = 0] = await numbers.data()
    return { loss, correct }
  } finally {
    numbers.dispose()
  }
}

function lengthenStep(variable: tf.Variable, start: tf.Tensor, factor: number): void {
  variable.assign(tf.add(start, tf.mul(tf.sub(variable, start), factor)))
}

/** tfjs's optimizers assign to the variables directly, without applying the constraints of the layers. */
function applyConstraints(weights: readonly tfl.LayerVariable[]): void {
  for (const weight of weights) {
    if (weight.constraint) {
      const variable = weight.read() as tf.Variable
      variable.assign(weight.constraint.apply(variable))
    }
  }
}
