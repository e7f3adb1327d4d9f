/** A quantity, and where it lies with some confidence. */
export interface ReportedEstimate {
  /** NaN where it is not defined. */
  readonly value: number
  readonly interval?: { readonly lower: number; readonly upper: number }
}

/** How a quantity is written: as a percentage, or as a plain number. */
export type EstimateForm = 'percent' | 'number'

/** `95.2%`, or `0.952`; `-` for what is not defined. */
export function valueText(value: number, form: EstimateForm): string {
  if (Number.isNaN(value)) return '-'
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '-∞'
  return form === 'percent' ? `${(value * 100).toFixed(1)}%` : value.toFixed(3)
}

/** `90.1% to 98.7%`; `-` where there is no interval. */
export function intervalText({ interval }: Pick<ReportedEstimate, 'interval'>, form: EstimateForm): string {
  if (!interval) return '-'
  return `${valueText(interval.lower, form)} to ${valueText(interval.upper, form)}`
}

/** `95.2% (90.1% to 98.7%)`, without the interval where there is none. */
export function estimateText(estimate: ReportedEstimate, form: EstimateForm): string {
  const value = valueText(estimate.value, form)
  return estimate.interval ? `${value} (${intervalText(estimate, form)})` : value
}

/** A coordinate of a picture, in pixels, to a hundredth of one. */
export function coordinateText(pixels: number): string {
  return String(Number(pixels.toFixed(2)))
}
