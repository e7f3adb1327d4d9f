import { checkOptionNames, type OptionNames } from '../known-options.js'

/** The uniform laws of the strength of a class's own feature and of the feature noise. */
export interface ClusterLaws {
  /** Lowest and highest strength alpha of the feature that carries the label. */
  readonly alphaRange: readonly [low: number, high: number]
  /** Lowest and highest strength gamma of the feature of another cluster, whose sign is drawn. */
  readonly gammaRange: readonly [low: number, high: number]
}

const optionNames = { alphaRange: true, gammaRange: true } as const satisfies OptionNames<ClusterLaws>

/**
 * The accuracy that no single model, one function summed over patches, exceeds on mixtures of classification problems
 * (Chen et al., NeurIPS 2022, Theorem 4.1): 7/8 where alpha and gamma have one law.
 *
 * @returns a share in [0, 1]; undefined where the laws differ, of which the theorem says nothing
 * @throws RangeError when a range is not two finite numbers in order, or an option is unknown
 */
export function singleModelCeiling(options: ClusterLaws): number | undefined {
  checkOptionNames('singleModelCeiling', options, optionNames)
  const { alphaRange, gammaRange } = options
  checkRange(alphaRange, 'alphaRange')
  checkRange(gammaRange, 'gammaRange')
  return alphaRange[0] === gammaRange[0] && alphaRange[1] === gammaRange[1] ? 7 / 8 : undefined
}

function checkRange(range: readonly number[], name: string): void {
  if (Array.isArray(range) && range.length === 2 && range.every(Number.isFinite)) {
    const [low, high] = range as [number, number]
    if (low <= high) return
  }
  throw new RangeError(
    `singleModelCeiling: ${name} must be [low, high] of finite numbers in order, got ${JSON.stringify(range)}`,
  )
}
