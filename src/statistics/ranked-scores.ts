/** Scores of items in descending order, of which some are positive: what is known at each threshold. */
export class RankedScores {
  private readonly scores: Float64Array
  /** Positions of the items, from the highest score down. */
  private readonly order: Int32Array
  private readonly positive: Uint8Array

  /**
   * @param scores (n) finite numbers
   * @param isPositive whether the item of a position is one of those that should score high
   * @param where the caller, for errors
   * @throws RangeError when a score is not finite
   */
  constructor(scores: ArrayLike<number>, isPositive: (item: number) => boolean, where: string) {
    this.scores = Float64Array.from(scores)
    const wrong = this.scores.findIndex(score => !Number.isFinite(score))
    if (wrong >= 0) {
      throw new RangeError(`${where}: scores must be finite, got ${this.scores[wrong]}`)
    }
    this.positive = Uint8Array.from(scores, (_, item) => (isPositive(item) ? 1 : 0))
    this.order = Int32Array.from(scores, (_, item) => item)
    this.order.sort((a, b) => this.scores[b]! - this.scores[a]!)
  }

  /**
   * Calls `visit` once for each different score, from the highest down, with how many positive and negative items have it.
   *
   * @param weights (n) how often each item counts; once unless given
   */
  forEachScore(
    visit: (score: number, positives: number, negatives: number) => void,
    weights?: ArrayLike<number>,
  ): void {
    const { order, scores, positive } = this
    let [positives, negatives] = [0, 0]
    for (let rank = 0; rank < order.length; rank++) {
      const item = order[rank]!
      const weight = weights ? weights[item]! : 1
      if (positive[item]) positives += weight
      else negatives += weight
      if (rank + 1 < order.length && scores[order[rank + 1]!] === scores[item]) continue
      if (positives + negatives > 0) visit(scores[item]!, positives, negatives)
      positives = 0
      negatives = 0
    }
  }
}
