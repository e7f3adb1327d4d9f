import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { type AuxiliaryTerm, collectAuxiliaryTerms } from '../layers/auxiliary-terms.js'
import { type StepGradients, WorkerStep, type WorkerSteps } from './cluster/worker-step.js'
import { releaseEarly } from './early-release.js'
import type { ClassifierLoss } from './loss.js'
import { stepJointly } from './optimizers/joint-steps.js'
import { clippedByNorm, learningRateOf } from './optimizers/learning-rate.js'
import { type BatchLabels, largestLabels, type TargetRule, targetsOf } from './targets.js'

/** What one step needs. */
export interface StepParts {
  readonly model: tfl.LayersModel
  readonly classifier: ClassifierLoss
  /** What the loss compares outputs with; the labels as they are unless given. */
  readonly targets?: TargetRule
  readonly optimizer: tf.Optimizer
  /** For each trainable weight, how many times longer its step is than the optimizer's; all 1 unless given. */
  readonly stepFactors?: readonly number[] | undefined
  /** What each auxiliary term is multiplied by, above 0; terms that are not named are not computed. */
  readonly coefficients?: ReadonlyMap<AuxiliaryTerm, number> | undefined
  /** Multiplied by the weights and added to their gradients; 0 unless given. */
  readonly l2?: number
  /** For each trainable weight the share of it, times the learning rate, that it loses before the step; none unless given. */
  readonly weightDecays?: readonly number[] | undefined
  /** The greatest norm of the gradients together; they are taken as they are unless given. */
  readonly clipNorm?: number | undefined
  /** Who else takes the step; nobody unless given. */
  readonly workers?: WorkerSteps | undefined
}

/** What a step is taken on. */
export interface StepBatch extends BatchLabels {
  /** The inputs of the model, in its order. */
  readonly inputs: readonly tf.Tensor[]
  /** Images of the whole batch, where several workers have a part of it each; those of `inputs` unless given. */
  readonly images?: number
}

/** The numbers that a step measured. */
export interface StepNumbers {
  /** The loss that was minimised, mean over the batch with the penalties of regularizers and the auxiliary terms. */
  readonly loss: number
  /** Images of the batch that were classified rightly before the step; mixed ones as the label that they have most of. */
  readonly correct: number
  /** The auxiliary terms that have a coefficient, without it, summed over the layers. */
  readonly terms: ReadonlyMap<AuxiliaryTerm, number>
  /** Whether a worker was asked to stop, where there are several. */
  readonly isStopAsked: boolean
}

/**
 * Takes one step of training: applies the model in training mode, and steps its trainable weights down the gradient
 * of the loss; then applies the constraints of the weights.
 *
 * @returns the numbers, once the backend has them; the step itself is handed to the backend at once
 */
export function takeStep(parts: StepParts, batch: StepBatch): Promise<StepNumbers> {
  const { coefficients = noCoefficients } = parts
  const numbers = tf.tidy(() => {
    const { gradients, measured } = differentiate(parts, coefficients, batch)
    applyStep(parts, gradients)
    return measured
  })
  return readNumbers(numbers, [...coefficients.keys()])
}

/**
 * Takes one step as {@link takeStep} does, unless its loss says otherwise: waits for the loss first.
 *
 * @param stops whether this loss, that of the weights before the step, forbids it
 */
export async function takeStepUnless(
  parts: StepParts,
  batch: StepBatch,
  stops: (loss: number) => boolean,
): Promise<StepNumbers> {
  const { coefficients = noCoefficients } = parts
  const { gradients, measured } = tf.tidy(() => differentiate(parts, coefficients, batch))
  try {
    const numbers = await readNumbers(measured, [...coefficients.keys()])
    if (!stops(numbers.loss)) tf.tidy(() => applyStep(parts, gradients))
    return numbers
  } finally {
    tf.dispose(gradients)
  }
}

/** Steps the trainable weights of a model down their gradients, and applies their constraints. */
function applyStep(
  { model, optimizer, stepFactors, l2 = 0, weightDecays, clipNorm }: StepParts,
  raw: Readonly<Record<string, tf.Tensor>>,
): void {
  const weights = model.trainableWeights
  const variables = weights.map(weight => weight.read() as tf.Variable)
  const additions = { l2, clipNorm, weightDecays, stepFactors }
  const ofVariables = variables.map(({ name }) => raw[name])
  if (stepJointly(optimizer, variables, ofVariables, additions)) {
    applyConstraints(weights)
    return
  }
  const gradients = clippedByNorm(raw, clipNorm)
  const starts =
    stepFactors && variables.map((variable, i) => (stepFactors[i] === 1 ? undefined : variable.clone()))
  // The penalty is that of the weights before they decay.
  const penalizedGradients = variables.map(variable => penalized(gradients[variable.name], variable, l2))
  const rate = learningRateOf(optimizer)
  for (const [i, share] of (weightDecays ?? []).entries()) {
    if (share > 0 && penalizedGradients[i]) decay(variables[i] as tf.Variable, rate * share)
  }
  // A list fixes the order in which the optimizer keeps its slots; weights without a gradient are skipped.
  optimizer.applyGradients(
    variables.map(({ name }, i) => ({ name, tensor: penalizedGradients[i] as tf.Tensor })),
  )
  for (const [i, start] of (starts ?? []).entries()) {
    if (start) lengthenStep(variables[i] as tf.Variable, start, stepFactors?.[i] ?? 1)
  }
  applyConstraints(weights)
}

const noCoefficients: ReadonlyMap<AuxiliaryTerm, number> = new Map()

/** The gradients of the step, of all its workers, and what it measured. */
function differentiate(
  parts: StepParts,
  coefficients: ReadonlyMap<AuxiliaryTerm, number>,
  batch: StepBatch,
): StepGradients {
  const { workers, model } = parts
  if (!workers) return differentiateHere(parts, coefficients, batch)
  const step = new WorkerStep(workers, model, batch.images ?? batch.labels.length)
  return step.summed(
    model,
    step.during(() => differentiateHere(parts, coefficients, batch, step)),
  )
}

/** The gradients of the loss, and what the step measures in one tensor: the loss, the right predictions, the terms. */
function differentiateHere(
  { model, classifier, targets: rule }: StepParts,
  coefficients: ReadonlyMap<AuxiliaryTerm, number>,
  batch: StepBatch,
  step?: WorkerStep,
): StepGradients {
  const variables = model.trainableWeights.map(weight => weight.read() as tf.Variable)
  const { inputs } = batch
  const x = inputs.length === 1 ? (inputs[0] as tf.Tensor) : [...inputs]
  const labels = tf.tensor1d(largestLabels(batch), 'int32')
  const targets = targetsOf(batch, rule ?? { numClasses: classifier.numClasses })
  let noted: readonly tf.Scalar[] = []
  const { value, grads } = tf.variableGrads(() => {
    const { logits, terms } = logitsWithTerms(() => classifier.logits(x, true), coefficients)
    // What is kept here outlives the scope of the gradient.
    noted = [tf.keep(tf.cast(classifier.correct(logits, labels), 'float32')), ...terms]
    const penalties = model.calculateLosses()
    const weighted = [...coefficients.values()].map((coefficient, i) =>
      tf.mul(terms[i] as tf.Scalar, coefficient),
    )
    const whole = [...penalties, ...weighted].reduce<tf.Scalar>(
      (sum, addend) => tf.add(sum, tf.reshape(addend, [])) as tf.Scalar,
      classifier.loss(logits, targets),
    )
    const loss = step ? tf.mul<tf.Scalar>(whole, step.share) : whole
    releaseEarly()
    step?.listen()
    return loss
  }, variables)
  const measured = tf.stack([value, ...noted]) as tf.Tensor1D
  for (const tensor of noted) tensor.dispose()
  return { gradients: grads, measured }
}

/** The logits, and the terms that have coefficients, in the order of these; none are computed without coefficients. */
function logitsWithTerms(
  forward: () => tf.Tensor2D,
  coefficients: ReadonlyMap<AuxiliaryTerm, number>,
): { readonly logits: tf.Tensor2D; readonly terms: readonly tf.Scalar[] } {
  if (coefficients.size === 0) return { logits: forward(), terms: [] }
  const names = [...coefficients.keys()]
  const { value: logits, terms } = collectAuxiliaryTerms(forward, names)
  return { logits, terms: names.map(name => terms.get(name) ?? noTerm(name)) }
}

function noTerm(name: AuxiliaryTerm): never {
  throw new RangeError(`train: ${name} must be added by the layers that list it, got none`)
}

async function readNumbers(numbers: tf.Tensor, names: readonly AuxiliaryTerm[]): Promise<StepNumbers> {
  try {
    const [loss = Number.NaN, correct = 0, ...others] = await numbers.data()
    const terms = new Map(names.map((name, i) => [name, others[i] ?? Number.NaN]))
    return { loss, correct, terms, isStopAsked: (others[names.length] ?? 0) > 0 }
  } finally {
    numbers.dispose()
  }
}

/** A gradient with that of the L2 penalty; a weight that the loss does not depend on has no gradient. */
function penalized(
  gradient: tf.Tensor | undefined,
  variable: tf.Variable,
  l2: number,
): tf.Tensor | undefined {
  return l2 > 0 && gradient ? tf.add(gradient, tf.mul(variable, l2)) : gradient
}

function decay(variable: tf.Variable, share: number): void {
  variable.assign(tf.mul(variable, 1 - share))
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
