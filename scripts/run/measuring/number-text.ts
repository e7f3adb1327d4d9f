import type { Summary } from './statistics.js'

/** Seconds, to three or four digits in the unit that suits: `1.152 s`, `84.3 ms`, `12.0 µs`. */
export function secondsText(seconds: number): string {
  if (seconds < 0) return `-${secondsText(-seconds)}`
  if (seconds >= 1) return `${seconds.toFixed(3)} s`
  if (seconds >= 1e-3) return `${(seconds * 1e3).toFixed(seconds >= 0.1 ? 0 : 1)} ms`
  return `${(seconds * 1e6).toFixed(1)} µs`
}

/** The quartiles of a time: `1.140-1.171 s`. */
export function quartilesText({ lowerQuartile, upperQuartile }: Summary): string {
  return `${secondsText(lowerQuartile)} - ${secondsText(upperQuartile)}`
}

/**
 * A ratio to three decimals, so that it can be told from a target of two decimals; small ones to two digits: `0.748`,
 * `0.0042`.
 */
export function ratioText(ratio: number): string {
  return ratio >= 0.1 ? ratio.toFixed(ratio >= 10 ? 1 : 3) : ratio.toPrecision(2)
}

/** The median of ratios with their quartiles: `0.748 (0.741 - 0.755)`. */
export function ratiosText({ median, lowerQuartile, upperQuartile }: Summary): string {
  return `${ratioText(median)} (${ratioText(lowerQuartile)} - ${ratioText(upperQuartile)})`
}

/** A share in percent: `67.2 %`. */
export function shareText(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

/** Bytes in GB (10^9): `1.61 GB`. */
export function bytesText(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`
}

/** Bytes in MB (10^6): `29.8 MB`. */
export function megabytesText(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

/** FLOP or FLOP/s in units of 10^9, without the unit: `371.2`. */
export function giga(count: number): string {
  return (count / 1e9).toFixed(1)
}

/** A count with commas between thousands: `7,439,396`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}
