import type { BootstrapOptions, Interval } from './bootstrap.js'
import { signFlipTest, signTest } from './sign-test.js'
import { summarizeSeeds } from './summary.js'
import { checkTrials, sampleCounts, type Trial } from './trial.js'

/** How much more accurate one model is than another at one number of training images, seed by seed. */
export interface PairedDifference {
  readonly samples: number
  /** Seeds that both models were run with. */
  readonly count: number
  /** Mean of accuracy minus baseline accuracy over the seeds; a share, not percent. */
  readonly mean: number
  /** Standard deviation of the differences, with n - 1; absent for a single pair. */
  readonly standardDeviation?: number
  /** Interval of the mean difference, by the percentile bootstrap over the seeds; absent for a single pair. */
  readonly interval?: Interval
  /** Seeds in which the model is ahead of the baseline, and behind it. */
  readonly ahead: number
  readonly behind: number
  /** p-values of the two-sided sign test and of the two-sided permutation test. */
  readonly signTest: number
  readonly permutationTest: number
}

/**
 * The paired difference between two models at each number of training images for which both have trials of the same
 * seed; trials without a partner are ignored.
 *
 * @param trials of the model
 * @param baseline trials of the model that it is compared with
 * @returns ascending by samples; empty where no trials pair
 * @throws RangeError when the trials of a model are malformed, see `checkTrials`
 */
export function pairedDifferences(
  trials: readonly Trial[],
  baseline: readonly Trial[],
  options: BootstrapOptions = {},
): PairedDifference[] {
  checkTrials('pairedDifferences: model', trials)
  checkTrials('pairedDifferences: baseline', baseline)
  const key = ({ samples, seed }: Trial) => `${samples} ${seed}`
  const partners = new Map(baseline.map(trial => [key(trial), trial.accuracy]))
  return sampleCounts(trials).flatMap(samples => {
    const differences = trials.flatMap(trial => {
      const partner = partners.get(key(trial))
      return trial.samples === samples && partner !== undefined ? [trial.accuracy - partner] : []
    })
    if (differences.length === 0) return []
    return [
      {
        samples,
        ...summarizeSeeds(differences, options),
        ahead: differences.filter(value => value > 0).length,
        behind: differences.filter(value => value < 0).length,
        signTest: signTest(differences),
        permutationTest: signFlipTest(differences, options.seed),
      },
    ]
  })
}
