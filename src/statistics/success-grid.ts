/** Whether one independent trial of a setting of two parameters succeeded. */
export interface GridTrial {
  /** The two parameters: patches kept and training samples in a phase map. */
  readonly x: number
  readonly y: number
  readonly success: boolean
}

/** One setting, and how many of its trials succeeded. */
export interface GridCell {
  readonly x: number
  readonly y: number
  /** Trials, at least 1. */
  readonly trials: number
  readonly successes: number
  /** successes / trials, in [0, 1]. */
  readonly share: number
}

/** The shares of successful trials over a grid of settings: a map of where the transition from failure to success is. */
export interface SuccessGrid {
  /** The different x, ascending. */
  readonly xs: readonly number[]
  /** The different y, ascending. */
  readonly ys: readonly number[]
  /** The settings that have trials, by y and then x; not every setting of the grid needs to. */
  readonly cells: readonly GridCell[]
  /**
   * For each x, in the order of `xs`, the smallest y such that at this and every larger y at least half of the trials
   * succeeded; undefined where there is none.
   */
  readonly boundary: readonly (number | undefined)[]
}

/**
 * Counts the successful trials of each setting.
 *
 * @throws RangeError for no trials or a parameter that is not finite
 */
export function successGrid(trials: readonly GridTrial[]): SuccessGrid {
  if (trials.length === 0) throw new RangeError('successGrid: trials must hold at least 1 trial, got 0')
  for (const [i, { x, y }] of trials.entries()) {
    if (Number.isFinite(x) && Number.isFinite(y)) continue
    throw new RangeError(`successGrid: x and y must be finite, got ${x} and ${y} (trial ${i})`)
  }
  const [xs, ys] = [ascending(trials.map(({ x }) => x)), ascending(trials.map(({ y }) => y))]
  const cells = ys.flatMap(y =>
    xs.flatMap(x => {
      const repeated = trials.filter(trial => trial.x === x && trial.y === y)
      if (repeated.length === 0) return []
      const successes = repeated.filter(({ success }) => success).length
      return [{ x, y, trials: repeated.length, successes, share: successes / repeated.length }]
    }),
  )
  return { xs, ys, cells, boundary: xs.map(x => boundaryOf(cells.filter(cell => cell.x === x))) }
}

/** @param column the cells of one x, ascending by y */
function boundaryOf(column: readonly GridCell[]): number | undefined {
  const lastFailure = column.findLastIndex(({ share }) => share < 0.5)
  return column[lastFailure + 1]?.y
}

function ascending(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b)
}
