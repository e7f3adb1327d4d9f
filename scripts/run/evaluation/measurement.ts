import type { ReportedTemperature, ReportedThresholds } from '../../../src/report/evaluation-page.js'
import {
  type ClassificationReport,
  classificationReport,
} from '../../../src/statistics/classification-report.js'
import {
  chooseThreshold,
  scoreAtThreshold,
  type ThresholdGoal,
} from '../../../src/statistics/decision-threshold.js'
import { type Predictions, probabilitiesOfClass } from '../../../src/statistics/predictions.js'
import { fitTemperature, scaled } from '../../../src/statistics/temperature-scaling.js'
import type { Evaluation, ImagePredictions } from '../../../src/train/evaluate.js'
import type { TrainingData } from '../../../src/train/feed.js'
import type { EvaluatedImages } from './evaluated-images.js'
import type { EvaluatedModel, MixtureLife } from './evaluated-model.js'

/** Everything that was measured of a model on labelled images; whoever shows a number takes it from here. */
export interface Measurement {
  readonly images: EvaluatedImages
  readonly evaluation: Evaluation
  readonly predictions: ImagePredictions
  readonly report: ClassificationReport
  /** What the experts do, where experts choose patches. */
  readonly life: MixtureLife
  /** Chosen on other images, where there are some. */
  readonly thresholds?: ReportedThresholds
  readonly temperature?: ReportedTemperature
}

/** What is measured. */
export interface MeasurementRequest {
  readonly images: EvaluatedImages
  /** The images that thresholds and the temperature are chosen on. */
  readonly chooseOn?: EvaluatedImages
  readonly goal: ThresholdGoal
  readonly routingNoise?: boolean
  readonly signal?: AbortSignal
}

/**
 * Evaluates a model and measures what it predicts.
 *
 * @throws Error when outputs of the model are not numbers, naming the first image
 */
export async function measure(
  model: EvaluatedModel,
  { images, chooseOn, goal, routingNoise, signal }: MeasurementRequest,
): Promise<Measurement> {
  const cancel = signal && { signal }
  const other = chooseOn && {
    predictions: await predicted(model, chooseOn, { ...cancel }),
    description: chooseOn.description,
  }
  const evaluation = await model.evaluate(images.set, {
    predictions: true,
    ...(routingNoise && { routingNoise }),
    ...cancel,
  })
  const predictions = checked(evaluation, images, model.name)
  const life = await model.lifeOn(images.set)
  return {
    images,
    evaluation,
    predictions,
    life,
    report: classificationReport(predictions),
    ...(other && {
      thresholds: thresholds(predictions, other.predictions, goal, other.description),
      ...temperature(predictions, other.predictions, other.description),
    }),
  }
}

async function predicted(
  model: EvaluatedModel,
  images: EvaluatedImages,
  cancel: { readonly signal?: AbortSignal },
): Promise<ImagePredictions> {
  const evaluation = await model.evaluate(images.set, { predictions: true, ...cancel })
  return checked(evaluation, images, model.name)
}

/** Predictions of outputs that are numbers. */
function checked({ predictions }: Evaluation, { set }: EvaluatedImages, name: string): ImagePredictions {
  const { logProbabilities, numClasses, labels } = predictions as ImagePredictions
  const wrong = new Set<number>()
  logProbabilities.forEach((value, i) => {
    if (Number.isNaN(value)) wrong.add(Math.floor(i / numClasses))
  })
  const [first] = wrong
  if (first === undefined) return predictions as ImagePredictions
  throw new Error(
    `evaluate: outputs of ${name} must be numbers, got NaN for ${wrong.size} of ${labels.length} images, first ` +
      `${nameOfImage(set, first)} (has its training diverged?)`,
  )
}

/** The name of an image of a set; a number where it has none. */
export function nameOfImage({ names }: TrainingData, position: number): string {
  return names?.[position] ?? `image ${position + 1}`
}

function thresholds(
  predictions: Predictions,
  others: Predictions,
  goal: ThresholdGoal,
  chosenOn: string,
): ReportedThresholds {
  const classes = Array.from({ length: predictions.numClasses }, (_, label) => {
    const isChosenOn = (item: number) => others.labels[item] === label
    const chosen = chooseThreshold(probabilitiesOfClass(others, label), isChosenOn, goal)
    if (!chosen) return undefined
    const scores = probabilitiesOfClass(predictions, label)
    const measured = scoreAtThreshold(scores, item => predictions.labels[item] === label, chosen.threshold)
    return { chosen, measured }
  })
  return { goal: goalText(goal), chosenOn, classes }
}

function goalText(goal: ThresholdGoal): string {
  return goal === 'best-f1'
    ? 'the best F1'
    : `a precision of at least ${Number((goal.precision * 100).toFixed(4))}%`
}

function temperature(
  predictions: Predictions,
  others: Predictions,
  fittedOn: string,
): { readonly temperature?: ReportedTemperature } {
  const fitted = fitTemperature(others)
  if (fitted === undefined) return {}
  const { logLoss, brier, calibration } = classificationReport(scaled(predictions, fitted))
  return { temperature: { temperature: fitted, fittedOn, scaled: { logLoss, brier, calibration } } }
}
