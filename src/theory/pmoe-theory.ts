import { checkOptionNames, type OptionNames } from '../known-options.js'
import { checkCount, checkNumber } from './checks.js'

/** The sizes that the theory of patch-level mixtures compares a CNN with. */
export interface PmoeTheoryOptions {
  /** n, patches of an image. */
  readonly patches: number
  /** l, patches that an expert keeps, in [1, n]. */
  readonly patchesPerExpert: number
  /** k, experts. */
  readonly experts: number
}

/** A quantity of a pMoE divided by the same quantity of the CNN. */
export interface TheoryRatios {
  /** Routers trained before the experts (Algorithm 1). */
  readonly separateOverCnn: number
  /** Routers and experts trained together (Algorithm 2). */
  readonly jointOverCnn: number
}

/** What the theory promises of a pMoE against the CNN, as ratios; above 1 it promises nothing. */
export interface PmoeTheory {
  /** Training samples. */
  readonly samples: TheoryRatios & { readonly jointOverSeparate: number }
  /** Hidden neurons. */
  readonly neurons: TheoryRatios
  /** Training iterations. */
  readonly iterations: TheoryRatios
  /** Multiply-adds until convergence, with equally many neurons. */
  readonly work: TheoryRatios
  /** The error that equally many samples give: samples go as the error to the power -16. */
  readonly errorAtFixedSamples: TheoryRatios
}

const optionNames = {
  patches: true,
  patchesPerExpert: true,
  experts: true,
} as const satisfies OptionNames<PmoeTheoryOptions>

/**
 * Ratios of the orders in the theorems of patch-level mixtures (Chowdhury et al., ICML 2023, section 4): samples of a CNN
 * go as n^8, of separate training as l^8, of joint training as k^4 l^6; what they have in common cancels.
 *
 * Orders have unknown constants, so a ratio compares settings and predicts no number. The theorems need that l is at least
 * l*, the number of patches that may look like the class's own; joint training also that some expert comes to keep the
 * class's own patch (Assumption 4.4).
 *
 * @throws RangeError when a number is outside its range, or an option is unknown
 */
export function pmoeTheory(options: PmoeTheoryOptions): PmoeTheory {
  const where = 'pmoeTheory'
  checkOptionNames(where, options, optionNames)
  const { patches: n, patchesPerExpert: l, experts: k } = options
  checkCount(n, `${where}: patches`)
  checkCount(k, `${where}: experts`)
  if (!Number.isSafeInteger(l) || l < 1 || l > n) {
    throw new RangeError(
      `${where}: patchesPerExpert must be an integer in [1, ${n}], got ${l} (patches ${n})`,
    )
  }
  const kept = l / n
  const jointSamples = k ** 4 * (kept ** 6 / n ** 2)
  return {
    samples: {
      separateOverCnn: kept ** 8,
      jointOverCnn: jointSamples,
      jointOverSeparate: k ** 4 / l ** 2,
    },
    neurons: { separateOverCnn: kept ** 10, jointOverCnn: k ** 3 * (kept ** 6 / n ** 2) },
    iterations: { separateOverCnn: kept ** 4, jointOverCnn: k ** 2 * (kept ** 2 / n ** 2) },
    work: { separateOverCnn: kept ** 5, jointOverCnn: k ** 2 * (kept ** 3 / n ** 2) },
    errorAtFixedSamples: { separateOverCnn: kept ** 0.5, jointOverCnn: jointSamples ** (1 / 16) },
  }
}

/**
 * The factor of the pMoE's sample counts that tells how alike classes and backgrounds are (Chowdhury et al., ICML 2023,
 * section 4.2): 1 / (1 - max(deltaD^2, deltaR^2)).
 *
 * @param deltaD inner product of the two classes' own patches, unit vectors; in (-1, 1)
 * @param deltaR largest inner product, by its size, of a class's own patch and any other; in (-1, 1)
 * @throws RangeError when a number is outside its range
 */
export function delta(deltaD: number, deltaR: number): number {
  const inside = (value: number) => Math.abs(value) < 1
  checkNumber(deltaD, 'delta: deltaD', 'a number in (-1, 1)', inside)
  checkNumber(deltaR, 'delta: deltaR', 'a number in (-1, 1)', inside)
  return 1 / (1 - Math.max(deltaD ** 2, deltaR ** 2))
}
