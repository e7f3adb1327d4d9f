/**
 * Statistics on plain numbers: of repeated experiments (intervals, paired tests, power laws, how many training images an
 * accuracy takes), and of what a classifier says of labelled items.
 */
export { areaUnderCurve } from './area-under-curve.js'
export { averagePrecision } from './average-precision.js'
export { type BootstrapOptions, bootstrapInterval, type Interval } from './bootstrap.js'
export { brierScores } from './brier-score.js'
export {
  type ConfidenceBin,
  type Confidences,
  calibrationError,
  confidencesOf,
  reliability,
} from './calibration-error.js'
export { type ClassScore, classScores } from './class-scores.js'
export {
  type ClassificationReport,
  type ClassMeans,
  classificationReport,
  type Estimate,
  type ReportedClass,
  type ReportOptions,
} from './classification-report.js'
export { type Confusion, confusions } from './confusion-matrix.js'
export {
  chooseThreshold,
  type DecisionThreshold,
  scoreAtThreshold,
  type ThresholdGoal,
} from './decision-threshold.js'
export { logLosses } from './log-loss.js'
export { type PairedDifference, pairedDifferences } from './paired-difference.js'
export { fitPowerLaw, type MeasuredPoint, type PowerLaw } from './power-law.js'
export type { Predictions } from './predictions.js'
export { rankCorrelation } from './rank-correlation.js'
export { meanRocCurve, type RocPoint, rocCurve } from './roc-curve.js'
export {
  type SamplesNeeded,
  type SamplesRatio,
  samplesNeeded,
  samplesRatio,
} from './samples-needed.js'
export { signFlipTest, signTest } from './sign-test.js'
export { type GridTrial, type SuccessGrid, successGrid } from './success-grid.js'
export { type SeedSummary, summarizeSeeds } from './summary.js'
export { fitTemperature, scaled } from './temperature-scaling.js'
export type { Trial } from './trial.js'
export { wilsonInterval } from './wilson-interval.js'
