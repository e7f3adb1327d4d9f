/**
 * Statistics of repeated experiments on plain numbers: intervals, paired tests, power laws, and how many training
 * images an accuracy takes.
 */
export { areaUnderCurve } from './area-under-curve.js'
export { type BootstrapOptions, bootstrapInterval, type Interval } from './bootstrap.js'
export { type PairedDifference, pairedDifferences } from './paired-difference.js'
export { fitPowerLaw, type MeasuredPoint, type PowerLaw } from './power-law.js'
export { rankCorrelation } from './rank-correlation.js'
export {
  type SamplesNeeded,
  type SamplesRatio,
  samplesNeeded,
  samplesRatio,
} from './samples-needed.js'
export { signFlipTest, signTest } from './sign-test.js'
export { type GridTrial, type SuccessGrid, successGrid } from './success-grid.js'
export { type SeedSummary, summarizeSeeds } from './summary.js'
export type { Trial } from './trial.js'
