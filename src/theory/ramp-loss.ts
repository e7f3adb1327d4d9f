import { checkCount, checkNumber } from './checks.js'

/**
 * The ramp loss of a margin, in [0, 1] and 1/width-Lipschitz: 1 up to a margin of 0, 0 from `width` on, straight between.
 *
 * @param width above 0
 * @throws RangeError when the width is not above 0, or the margin not a number
 */
export function rampLoss(margin: number, width = 1): number {
  checkNumber(width, 'rampLoss: width', 'a number above 0', value => value > 0)
  if (Number.isNaN(margin)) throw new RangeError(`rampLoss: margin must be a number, got ${margin}`)
  return Math.min(1, Math.max(0, 1 - margin / width))
}

/**
 * By how much each item's own class is ahead: its logit minus the largest of the others. One output is that of two classes,
 * the second of which has the sign of the output. A margin of 0 is no correct answer.
 *
 * @param logits (count, outputs)
 * @param labels (count) classes from 0
 * @param outputs at least 1
 * @returns (count)
 * @throws RangeError when sizes do not agree, or a label is no class
 */
export function classMargins(
  logits: ArrayLike<number>,
  labels: ArrayLike<number>,
  outputs: number,
): Float64Array {
  checkCount(outputs, 'classMargins: outputs')
  if (logits.length !== labels.length * outputs) {
    throw new RangeError(
      `classMargins: logits must be ${labels.length * outputs} numbers, got ${logits.length} ` +
        `(${labels.length} labels, ${outputs} outputs)`,
    )
  }
  const classes = Math.max(2, outputs)
  return Float64Array.from({ length: labels.length }, (_, item) => {
    const label = labels[item] as number
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new RangeError(
        `classMargins: labels must be integers in [0, ${classes - 1}], got ${label} (item ${item})`,
      )
    }
    if (outputs === 1) return (label === 1 ? 1 : -1) * (logits[item] as number)
    let best = -Infinity
    for (let other = 0; other < outputs; other++) {
      if (other !== label) best = Math.max(best, logits[item * outputs + other] as number)
    }
    return (logits[item * outputs + label] as number) - best
  })
}
