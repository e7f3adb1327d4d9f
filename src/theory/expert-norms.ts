import { norm21, spectralNorm } from './spectral-norm.js'

/** The norms of the weights of one expert. */
export interface ExpertNorms {
  /** The largest singular value of its kernel. */
  readonly spectralNorm: number
  /** The sum over its outputs of the l2 norm of their incoming weights. */
  readonly norm21: number
}

/** Experts side by side in one matrix: expert s owns columns [s width, (s+1) width). */
export interface ExpertColumns {
  /** (rows, experts width), row by row. */
  readonly values: ArrayLike<number>
  readonly rows: number
  readonly experts: number
}

/**
 * The norms of experts that stand side by side.
 *
 * @param bias (experts width), counted as one more row, as for an input that is always 1
 * @returns one entry an expert
 * @throws RangeError when a number is not finite
 */
export function normsOfColumns(columns: ExpertColumns, bias?: ArrayLike<number>): ExpertNorms[] {
  return Array.from({ length: columns.experts }, (_, expert) => {
    const kernel = columnsOf(columns, expert)
    if (bias) kernel.push(...columnsOf({ values: bias, rows: 1, experts: columns.experts }, expert))
    return { spectralNorm: spectralNorm(kernel), norm21: norm21(kernel) }
  })
}

/** The matrix of one expert, as rows. */
export function columnsOf({ values, rows, experts }: ExpertColumns, expert: number): number[][] {
  const width = values.length / rows / experts
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: width }, (_, i) => values[(row * experts + expert) * width + i] as number),
  )
}

/** The largest norms of the experts: the class that holds all of them. */
export function largestNorms(norms: readonly ExpertNorms[]): ExpertNorms {
  return {
    spectralNorm: Math.max(...norms.map(expert => expert.spectralNorm)),
    norm21: Math.max(...norms.map(expert => expert.norm21)),
  }
}
