/** How many items have each of the different scores, from the highest score down. */
export interface ScoreCounts {
  /** How many different scores there are, the length of each array. */
  readonly length: number
  readonly scores: Float64Array
  /** Positive items, and the others. */
  readonly positives: Float64Array
  readonly negatives: Float64Array
}

/** Scores of items in descending order, of which some are positive: what is known at each threshold. */
export class RankedScores {
  /** Positions of the items, from the highest score down. */
  private readonly order: Int32Array
  /** By rank: the number of the score among the different ones, and whether the item is positive. */
  private readonly group: Int32Array
  private readonly positive: Uint8Array
  private readonly buffers: ScoreCounts

  /**
   * @param scores (n) finite numbers
   * @param isPositive whether the item of a position is one of those that should score high
   * @param where the caller, for errors
   * @throws RangeError when a score is not finite
   */
  constructor(scores: ArrayLike<number>, isPositive: (item: number) => boolean, where: string) {
    const values = Float64Array.from(scores)
    const wrong = values.find(score => !Number.isFinite(score))
    if (wrong !== undefined) throw new RangeError(`${where}: scores must be finite, got ${wrong}`)
    this.order = Int32Array.from(values, (_, item) => item)
    this.order.sort((a, b) => values[b]! - values[a]!)
    this.positive = Uint8Array.from(this.order, item => (isPositive(item) ? 1 : 0))
    this.group = new Int32Array(values.length)
    const different: number[] = []
    for (const [rank, item] of this.order.entries()) {
      if (different.length === 0 || different.at(-1) !== values[item]) different.push(values[item]!)
      this.group[rank] = different.length - 1
    }
    const length = different.length
    this.buffers = {
      length,
      scores: Float64Array.from(different),
      positives: new Float64Array(length),
      negatives: new Float64Array(length),
    }
  }

  /**
   * Counts the items of each score; the arrays are good until the next call.
   *
   * @param weights (n) how often each item counts; once unless given
   */
  counts(weights?: ArrayLike<number>): ScoreCounts {
    const { order, group, positive, buffers } = this
    const { positives, negatives } = buffers
    positives.fill(0)
    negatives.fill(0)
    for (let rank = 0; rank < order.length; rank++) {
      const weight = weights ? weights[order[rank]!]! : 1
      if (positive[rank]) positives[group[rank]!]! += weight
      else negatives[group[rank]!]! += weight
    }
    return buffers
  }
}
