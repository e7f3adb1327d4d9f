/** Numbers as people read them. */

const whole = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 })

/** 23,592 */
export function wholeText(value: number): string {
  return whole.format(value)
}

/** 12.9M, 23.6K */
export function shortText(value: number): string {
  return short.format(value)
}

/** 96.3 % of a share; a dash where there is none. */
export function percentText(share: number | undefined, digits = 1): string {
  return share === undefined || Number.isNaN(share) ? '–' : `${(100 * share).toFixed(digits)} %`
}

/** 0.42 nats; a dash where there is none. */
export function natsText(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? '–' : `${value.toFixed(2)} nats`
}
