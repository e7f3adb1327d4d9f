import type { PairedDifference } from '../../src/statistics/paired-difference.js'

/** Paired differences whose 95 % interval does not hold zero, by their side. */
export interface Decided<Difference> {
  readonly ahead: readonly Difference[]
  readonly behind: readonly Difference[]
}

/** Sorts out which differences the seeds decide; single pairs have no interval and decide nothing. */
export function decided<Difference extends Pick<PairedDifference, 'interval'>>(
  differences: readonly Difference[],
): Decided<Difference> {
  return {
    ahead: differences.filter(({ interval }) => interval && interval.lower > 0),
    behind: differences.filter(({ interval }) => interval && interval.upper < 0),
  }
}

/** The same among the differences of several series, each with the name of its series. */
export function decidedAmong<Difference extends Pick<PairedDifference, 'interval'>>(
  comparisons: readonly { readonly series: string; readonly differences: readonly Difference[] }[],
): Decided<Difference & { readonly series: string }> {
  return decided(
    comparisons.flatMap(({ series, differences }) =>
      differences.map(difference => ({ series, ...difference })),
    ),
  )
}
