/** The test accuracy of one independent run. */
export interface Trial {
  /** Training images. */
  readonly samples: number
  /** What the run was seeded with: trials of the same seed and number of images are a pair. */
  readonly seed: number
  /** Share of the test images that were right, in [0, 1]. */
  readonly accuracy: number
}

/**
 * Checks the trials of one model.
 *
 * @param where the caller, for errors
 * @throws RangeError for no trials, an accuracy outside [0, 1], samples that are no positive number, or two trials of
 *   one seed at the same number of samples
 */
export function checkTrials(where: string, trials: readonly Trial[]): void {
  if (trials.length === 0) throw new RangeError(`${where}: trials must hold at least 1 trial, got 0`)
  const seen = new Set<string>()
  for (const { samples, seed, accuracy } of trials) {
    if (!(samples > 0 && samples < Infinity)) {
      throw new RangeError(`${where}: samples must be above 0, got ${samples} (seed ${seed})`)
    }
    if (!(accuracy >= 0 && accuracy <= 1)) {
      throw new RangeError(
        `${where}: accuracy must be in [0, 1], got ${accuracy} (${samples} samples, seed ${seed})`,
      )
    }
    const key = `${samples} ${seed}`
    if (seen.has(key)) {
      throw new RangeError(
        `${where}: trials must differ in samples or seed, got ${samples} samples, seed ${seed} twice`,
      )
    }
    seen.add(key)
  }
}

/** The different numbers of samples of trials, ascending. */
export function sampleCounts(trials: readonly Trial[]): number[] {
  return [...new Set(trials.map(({ samples }) => samples))].sort((a, b) => a - b)
}
