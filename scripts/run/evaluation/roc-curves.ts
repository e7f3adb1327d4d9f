import type { ReportedRocCurve } from '../../../src/report/roc-figure.js'
import { meanRocCurve, rocCurve } from '../../../src/statistics/roc-curve.js'
import type { Measurement } from './measurement.js'

/** Curves that a report shows at most. */
const MOST_CURVES = 12

/**
 * The ROC curves that a report shows: one for each class that has one; of more than 12 their mean and the 11 of the smallest area.
 *
 * @param classNames in the order of the model's outputs
 */
export function rocCurves(
  { predictions, report: { classes, macro } }: Pick<Measurement, 'predictions' | 'report'>,
  classNames: readonly string[],
): ReportedRocCurve[] {
  const defined = [...classes.entries()].filter(([, { rocArea }]) => !Number.isNaN(rocArea))
  const curveOf = ([label, { rocArea: area }]: (typeof defined)[number]): ReportedRocCurve => ({
    name: classNames[label] ?? String(label),
    area,
    points: rocCurve(predictions, label),
  })
  if (defined.length <= MOST_CURVES) return defined.map(curveOf)
  const mean = {
    name: `mean of ${defined.length} classes`,
    area: macro.rocArea.value,
    points: meanRocCurve(defined.map(([label]) => rocCurve(predictions, label))),
  }
  const lowest = [...defined].sort((a, b) => a[1].rocArea - b[1].rocArea).slice(0, MOST_CURVES - 1)
  return [mean, ...lowest.map(curveOf)]
}
