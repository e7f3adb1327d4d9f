import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { frugalForward } from '../layers/frugal-forward.js'
import {
  crossEntropy,
  crossEntropyOfProbabilities,
  floorOfProbabilities,
  softCrossEntropy,
  softLogisticCrossEntropy,
} from './cross-entropy.js'

/**
 * The losses of classifiers of several outputs:
 * - `cross-entropy`: of the softmax of the logits
 * - `cross-entropy-of-probabilities`: takes the softmax of these probabilities once more, as published code of sample-level
 *   mixtures does; its least value is ln(1 + (classes - 1)/e), 0.3133 for two classes
 */
export const LOSS_FORMS = ['cross-entropy', 'cross-entropy-of-probabilities'] as const
export type LossForm = (typeof LOSS_FORMS)[number]

/** How a classifier decides, and what its loss is. */
export interface LossOptions {
  /**
   * The logit above which a model of one output predicts class 1; 0 unless given, where the probability is 1/2.
   * Published code of the method compares the logit with 0.5.
   */
  readonly threshold?: number
  /** `cross-entropy` unless given, the only one for models of one output. */
  readonly lossForm?: LossForm
}

/** The options of a loss among others. */
export function lossOptions({ threshold, lossForm }: LossOptions): LossOptions {
  return { ...(threshold !== undefined && { threshold }), ...(lossForm !== undefined && { lossForm }) }
}

/** Loss and accuracy of one model, computed from its logits. */
export interface ClassifierLoss {
  /** Classes that the outputs stand for: 2 for one logit, otherwise one for each output. */
  readonly numClasses: number
  /** The least value of the loss, in nats. */
  readonly floor: number
  /** What `logits` computes, for those who compute it in another way. */
  readonly source: LogitSource
  /**
   * Applies the model up to its logits.
   *
   * @param x (B, H, W, C) float32 in [0, 1]; the list of its inputs for a model of several
   * @param training whether layers act as in training (batch statistics, dropout)
   * @returns (B, outputs) float32
   */
  logits(x: tf.Tensor | tf.Tensor[], training: boolean): tf.Tensor2D
  /**
   * Mean loss over the batch, in nats: the cross-entropy in the form that was chosen.
   *
   * @param targets (B) int32 class numbers; or (B, numClasses) float32, the shares of the classes times their weights, as
   *   `targetsOf` makes them
   */
  loss(logits: tf.Tensor2D, targets: tf.Tensor): tf.Scalar
  /** Predicted classes, (B) int32; ties go to the lower class. */
  predictions(logits: tf.Tensor2D): tf.Tensor1D
  /** How many predictions are right, as an int32 scalar. */
  correct(logits: tf.Tensor2D, labels: tf.Tensor1D): tf.Scalar
  /** Probability of every class, (B, numClasses) float32. */
  probabilities(logits: tf.Tensor2D): tf.Tensor2D
  /** Natural logarithms of these, (B, numClasses) float32, which stay finite where a probability rounds to 0. */
  logProbabilities(logits: tf.Tensor2D): tf.Tensor2D
}

/** Where the logits of a model come from. */
export interface LogitSource {
  /** The model, or as much of it as comes before its last activation. */
  readonly network: tfl.LayersModel
  /** Where it begins, if not at its input. */
  readonly from?: tfl.SymbolicTensor
  /** The weights that make logits of its output; the layer owns them. */
  weights(): readonly tf.Tensor[]
  /** Logits from the output of `network` and these weights. */
  ofOutput(output: tf.Tensor, weights: readonly tf.Tensor[]): tf.Tensor2D
}

type Squash = 'none' | 'softmax' | 'sigmoid'
type Logits = ClassifierLoss['logits']

/** Probabilities that are used in place of logits are clipped to at least this distance from 0 and 1. */
const leastProbability = 1e-7

/**
 * Finds the loss of a classifier: sigmoid cross-entropy for one output, softmax cross-entropy for several.
 *
 * Outputs count as logits, unless the last layer is a softmax or sigmoid (`Activation`, `Softmax`, or a `Dense` with
 * that activation): then the logits that enter it are used, which stays exact where probabilities round to 0 or 1.
 * Where there is no access to them (the activation is inside a nested model or another layer), probabilities are clipped to
 * [1e-7, 1 - 1e-7].
 *
 * @param model one output of shape (batch, outputs)
 * @param from where the logits begin instead of the input: a tensor of the model through which everything passes, as that of
 *   `splitModel`
 * @throws RangeError when the model has several outputs or another rank, when its last activation does not suit the
 * number of outputs, when the threshold is not finite, or when the form is unknown or not for one output
 */
export function lossOf(
  model: tfl.LayersModel,
  { threshold = 0, lossForm = 'cross-entropy' }: LossOptions = {},
  from?: tfl.SymbolicTensor,
): ClassifierLoss {
  if (!LOSS_FORMS.includes(lossForm)) {
    throw new RangeError(`lossOf: lossForm must be ${LOSS_FORMS.join(' or ')}, got ${lossForm as string}`)
  }
  if (!Number.isFinite(threshold)) throw new RangeError(`lossOf: threshold must be finite, got ${threshold}`)
  const { output, numOutputs } = singleOutput(model)
  const squash = squashOf(output)
  const suitable: Squash = numOutputs === 1 ? 'sigmoid' : 'softmax'
  if (squash !== 'none' && squash !== suitable) {
    throw new RangeError(
      `lossOf: the last activation must be linear or ${suitable} for ${numOutputs} output${numOutputs === 1 ? '' : 's'}, got ${squash}`,
    )
  }
  const whole = squash === 'none' ? outputOf(model) : logitsBefore(model, output, squash)
  const source = { ...whole, ...(from && { from }) }
  if (numOutputs > 1) return categoricalLoss(source, numOutputs, lossForm)
  if (lossForm === 'cross-entropy') return binaryLoss(source, threshold)
  throw new RangeError(
    `lossOf: lossForm must be cross-entropy for 1 output, got ${lossForm} (which needs a probability for each class)`,
  )
}

function binaryLoss(source: LogitSource, threshold: number): ClassifierLoss {
  const predictions = (z: tf.Tensor2D): tf.Tensor1D =>
    tf.tidy(() => tf.reshape(tf.cast(tf.greater(z, threshold), 'int32'), [-1]))
  return {
    numClasses: 2,
    floor: 0,
    source,
    logits: logitsOf(source),
    loss: (z, targets) =>
      tf.tidy(() =>
        targets.rank === 2
          ? softLogisticCrossEntropy(targets as tf.Tensor2D, z)
          : (tf.losses.sigmoidCrossEntropy(tf.reshape(tf.cast(targets, 'float32'), [-1, 1]), z) as tf.Scalar),
      ),
    predictions,
    correct: (z, labels) => countEqual(predictions, z, labels),
    probabilities: z => tf.tidy(() => tf.concat2d([tf.sigmoid(tf.neg(z)), tf.sigmoid(z)], 1)),
    logProbabilities: z => tf.tidy(() => tf.concat2d([tf.logSigmoid(tf.neg(z)), tf.logSigmoid(z)], 1)),
  }
}

function categoricalLoss(source: LogitSource, numClasses: number, form: LossForm): ClassifierLoss {
  const isPlain = form === 'cross-entropy'
  const ofLabels = isPlain ? crossEntropy : crossEntropyOfProbabilities
  const ofTargets = isPlain ? softCrossEntropy : crossEntropyOfProbabilities
  const predictions = (z: tf.Tensor2D): tf.Tensor1D => tf.argMax(z, 1)
  return {
    numClasses,
    floor: isPlain ? 0 : floorOfProbabilities(numClasses),
    source,
    logits: logitsOf(source),
    loss: (z, targets) =>
      tf.tidy(() =>
        targets.rank === 2
          ? ofTargets(targets as tf.Tensor2D, z)
          : ofLabels(tf.cast(tf.oneHot(targets, numClasses), 'float32') as tf.Tensor2D, z),
      ),
    predictions,
    correct: (z, labels) => countEqual(predictions, z, labels),
    probabilities: z => tf.softmax(z, 1),
    logProbabilities: z => tf.tidy(() => tf.logSoftmax(z, 1)),
  }
}

function countEqual(
  predictions: ClassifierLoss['predictions'],
  logits: tf.Tensor2D,
  labels: tf.Tensor1D,
): tf.Scalar {
  return tf.tidy(() => tf.sum(tf.cast(tf.equal(predictions(logits), labels), 'int32')) as tf.Scalar)
}

function singleOutput(model: tfl.LayersModel): { output: tfl.SymbolicTensor; numOutputs: number } {
  const [output] = model.outputs
  const numOutputs = output?.shape[1]
  if (model.outputs.length !== 1 || !output || output.shape.length !== 2 || !numOutputs) {
    const shapes = model.outputs.map(({ shape }) => `[${shape.map(side => side ?? 'batch').join(', ')}]`)
    throw new RangeError(`lossOf: model must have one output [batch, outputs], got ${shapes.join(' and ')}`)
  }
  return { output, numOutputs }
}

/** The last activation of the model, which may be inside a nested model. */
function squashOf(output: tfl.SymbolicTensor): Squash {
  const layer = output.sourceLayer
  if (layer instanceof tfl.LayersModel) {
    const inner = layer.outputs[output.outputTensorIndex ?? 0]
    return inner ? squashOf(inner) : 'none'
  }
  const name = layer.getClassName() === 'Softmax' ? 'softmax' : activationName(layer)
  return name === 'softmax' || name === 'sigmoid' ? name : 'none'
}

function activationName(layer: object): string | undefined {
  const activation = 'activation' in layer ? layer.activation : undefined
  return activation instanceof tf.serialization.Serializable ? activation.getClassName() : undefined
}

/** The logits that enter the last softmax or sigmoid, or without access to them those computed from its output. */
function logitsBefore(model: tfl.LayersModel, output: tfl.SymbolicTensor, squash: Squash): LogitSource {
  const layer = output.sourceLayer
  const [input] = layer.inboundNodes[output.nodeIndex]?.inputTensors ?? []
  const name = layer.getClassName()
  if (input && (name === 'Activation' || name === 'Softmax')) return outputOf(upTo(model, input))
  if (input?.shape.length === 2 && name === 'Dense') {
    return { network: upTo(model, input), weights: () => layer.getWeights(), ofOutput: affine }
  }
  return { network: model, weights: () => [], ofOutput: output => logarithms(output, squash) }
}

/** Logits as a model puts them out. */
function outputOf(network: tfl.LayersModel): LogitSource {
  return { network, weights: () => [], ofOutput: output => output as tf.Tensor2D }
}

function logitsOf({ network, from, weights, ofOutput }: LogitSource): Logits {
  const forward = frugalForward(network, from)
  return (x, training) => tf.tidy(() => ofOutput(forward(x, training), weights()))
}

/** A model that shares the layers and ends at `output`. */
function upTo(model: tfl.LayersModel, output: tfl.SymbolicTensor): tfl.LayersModel {
  return tfl.model({ inputs: model.inputs, outputs: output, name: `${model.name}_logits` })
}

function affine(features: tf.Tensor, [kernel, bias]: readonly tf.Tensor[]): tf.Tensor2D {
  const product = tf.matMul<tf.Tensor2D>(features as tf.Tensor2D, kernel as tf.Tensor2D)
  return bias ? tf.add<tf.Tensor2D>(product, bias) : product
}

function logarithms(probabilities: tf.Tensor, squash: Squash): tf.Tensor2D {
  const clipped = tf.clipByValue(probabilities, leastProbability, 1 - leastProbability)
  const logs = tf.log(clipped) as tf.Tensor2D
  return squash === 'sigmoid' ? tf.sub(logs, tf.log(tf.sub(1, clipped))) : logs
}
