import { rocArea } from './area-under-curve.js'
import { precisionArea } from './average-precision.js'
import { bootstrapIntervals, type Interval } from './bootstrap.js'
import { brierScores } from './brier-score.js'
import {
  CONFIDENCE_BINS,
  type ConfidenceBin,
  calibrationError,
  confidencesOf,
  reliability,
} from './calibration-error.js'
import { type ClassScore, classAverage, classScores } from './class-scores.js'
import { type Confusion, confusions } from './confusion-matrix.js'
import { logLosses } from './log-loss.js'
import { checkPredictions, type Predictions, probabilitiesOfClass } from './predictions.js'
import { RankedScores } from './ranked-scores.js'
import { wilsonInterval } from './wilson-interval.js'

/** A quantity and where it lies with 95 % confidence. */
export interface Estimate {
  /** NaN where it is not defined. */
  readonly value: number
  /** Absent where it is not defined, or takes too long to estimate. */
  readonly interval?: Interval
}

/** How well one class is told from the others. */
export interface ReportedClass extends ClassScore {
  /** Area under the ROC curve of its probability, one class against the rest; NaN where one of the two has no items. */
  readonly rocArea: number
  /** Average precision of its probability; NaN for a class without items. */
  readonly averagePrecision: number
  /** Wilson's intervals. */
  readonly precisionInterval?: Interval
  readonly recallInterval?: Interval
}

/** What is averaged over the classes. */
export const AVERAGED = ['precision', 'recall', 'f1', 'rocArea', 'averagePrecision'] as const

/** Means over the classes that have items; classes for which a value is not defined are left out of its mean. */
export type ClassMeans = Readonly<Record<(typeof AVERAGED)[number], Estimate>>

/** Everything that is measured of predictions. */
export interface ClassificationReport {
  /** Items. */
  readonly count: number
  /** Share of right predictions, with Wilson's interval. */
  readonly accuracy: Estimate
  readonly classes: readonly ReportedClass[]
  readonly macro: ClassMeans
  readonly weighted: ClassMeans
  readonly confusions: readonly Confusion[]
  /** Mean negative log likelihood, in nats. */
  readonly logLoss: Estimate
  /** Mean Brier score, in [0, 2]. */
  readonly brier: Estimate
  readonly calibration: {
    readonly bins: readonly ConfidenceBin[]
    /** Expected calibration error. */
    readonly error: Estimate
  }
}

/** How predictions are measured. */
export interface ReportOptions {
  /** Bins of the reliability diagram, of equal width; 15 unless given. */
  readonly bins?: number
  /** Draws of the bootstrap; 1,000 unless given. */
  readonly resamples?: number
  /** Decides the draws; 0 unless given. */
  readonly seed?: number
}

const WHERE = 'classificationReport'

/** Probabilities, items times classes, up to which areas are computed again for every draw: a second or so. */
const MOST_RANKED = 200_000

/**
 * Everything that is measured of the predictions of a classifier. Intervals have 95 % confidence: Wilson's for shares, the
 * percentile bootstrap over the items for the others, in which each class keeps its number of items; that of areas is left
 * out where items times classes are above 200,000.
 *
 * @throws RangeError when the predictions are malformed, see `checkPredictions`, or an option is out of range
 */
export function classificationReport(
  predictions: Predictions,
  { bins: numBins = CONFIDENCE_BINS, resamples = 1000, seed = 0 }: ReportOptions = {},
): ClassificationReport {
  checkPredictions(WHERE, predictions)
  const { labels, predicted, numClasses } = predictions
  const count = labels.length
  const scores = classScores(labels, predicted, numClasses)
  const rankedBy = (k: number) =>
    new RankedScores(probabilitiesOfClass(predictions, k), item => labels[item] === k, WHERE)
  const classes = scores.map((score, k) => reportedClass(score, rankedBy(k)))
  const confidences = confidencesOf(predictions)
  const bins = reliability(confidences, numBins)
  const losses = logLosses(predictions)
  const briers = brierScores(predictions)
  // Of many classes the ranks would not fit in memory together.
  const ranked = count * numClasses <= MOST_RANKED ? scores.map((_, k) => rankedBy(k)) : undefined
  const weights = new Float64Array(count)
  const order = Array.from({ length: count }, (_, item) => item).sort((a, b) => labels[a]! - labels[b]!)
  const strata = scores.flatMap(score => (score.count > 0 ? [score.count] : []))
  const measured = (drawn: Int32Array): number[] => {
    weights.fill(0)
    for (const position of drawn) weights[order[position]!]! += 1
    const drawnClasses = classScores(labels, predicted, numClasses, weights).map((score, k) => ({
      ...score,
      ...(ranked ? areas(ranked[k]!, weights) : { rocArea: Number.NaN, averagePrecision: Number.NaN }),
    }))
    return [
      weightedMean(losses, weights),
      weightedMean(briers, weights),
      calibrationError(reliability(confidences, numBins, weights)),
      ...meansOf(drawnClasses, 'macro'),
      ...meansOf(drawnClasses, 'weighted'),
    ]
  }
  const [logLoss, brier, error, ...means] = bootstrapIntervals(strata, measured, { resamples, seed })
  const ones = new Float64Array(count).fill(1)
  const right = scores.reduce((sum, score) => sum + score.right, 0)
  return {
    count,
    accuracy: estimate(right / count, wilsonInterval(right, count)),
    classes,
    macro: classMeans(meansOf(classes, 'macro'), means),
    weighted: classMeans(meansOf(classes, 'weighted'), means.slice(AVERAGED.length)),
    confusions: confusions(labels, predicted),
    logLoss: estimate(weightedMean(losses, ones), logLoss),
    brier: estimate(weightedMean(briers, ones), brier),
    calibration: { bins, error: estimate(calibrationError(bins), error) },
  }
}

function reportedClass(score: ClassScore, ranked: RankedScores): ReportedClass {
  const { right, predicted, count } = score
  const precisionInterval = wilsonInterval(right, predicted)
  const recallInterval = wilsonInterval(right, count)
  return {
    ...score,
    ...areas(ranked),
    ...(precisionInterval && { precisionInterval }),
    ...(recallInterval && { recallInterval }),
  }
}

function areas(
  ranked: RankedScores,
  weights?: ArrayLike<number>,
): Pick<ReportedClass, 'rocArea' | 'averagePrecision'> {
  const counts = ranked.counts(weights)
  return { rocArea: rocArea(counts), averagePrecision: precisionArea(counts) }
}

/** The averages of each of {@link AVERAGED}. */
function meansOf(
  classes: readonly Pick<ReportedClass, 'count' | (typeof AVERAGED)[number]>[],
  averaging: 'macro' | 'weighted',
): number[] {
  const counts = classes.map(({ count }) => count)
  return AVERAGED.map(name =>
    classAverage(
      classes.map(each => each[name]),
      counts,
      averaging,
    ),
  )
}

function classMeans(values: readonly number[], intervals: readonly (Interval | undefined)[]): ClassMeans {
  const entries = AVERAGED.map((name, i) => [name, estimate(values[i]!, intervals[i])])
  return Object.fromEntries(entries) as ClassMeans
}

function estimate(value: number, interval: Interval | undefined): Estimate {
  return Number.isNaN(value) || !interval ? { value } : { value, interval }
}

function weightedMean(values: Float64Array, weights: Float64Array): number {
  let [sum, total] = [0, 0]
  for (let i = 0; i < values.length; i++) {
    // Infinity times a weight of 0 is not a number.
    if (weights[i] === 0) continue
    sum += weights[i]! * values[i]!
    total += weights[i]!
  }
  return sum / total
}
