import { checkOptionNames, type OptionNames } from '../known-options.js'
import { checkCount, checkNumber } from './checks.js'

/** What every statement of the bound carries: the O(.) of the theorem hides a constant. */
export const BOUND_NOTE = 'formula with its constant set to 1; an upper bound in order only'

/** What the generalisation bound of a sparse mixture of experts depends on. */
export interface SmoeBoundOptions {
  /** T, integer of at least 1. */
  readonly experts: number
  /** k, experts that are active for an item, integer in [1, T]. */
  readonly active: number
  /** m, training items, integer of at least 1. */
  readonly samples: number
  /** d_N, Natarajan dimension of the router's class, or an upper bound of it, in [0, 2^53). */
  readonly routerDimension: number
  /** The bound holds with probability 1 - delta; in (0, 1), default 0.05. */
  readonly delta?: number
  /** C, Lipschitz constant of the loss, above 0; default 1. */
  readonly lipschitz?: number
  /** R_m(H), Rademacher complexity of the class of one expert, or an upper bound of it, at least 0. */
  readonly expertComplexity: number
}

/** The bound and its parts; without unit, for losses in [0, 1]. */
export interface SmoeBound {
  /** 4 C R_m(H). */
  readonly expertTerm: number
  /** 2 sqrt([2 k d_N (1 + ln(T/k)) + d_N ln(2m) + ln(4/delta)] / (2m)). */
  readonly routerTerm: number
  /** The same with ln of the number of masks, ln C(T,k), in the place of k (1 + ln(T/k)); never larger. */
  readonly exactRouterTerm: number
  /** expertTerm + routerTerm. */
  readonly bound: number
  /** Whether the bound is at least 1, and so says nothing of a loss in [0, 1]. */
  readonly vacuous: boolean
  /** sqrt(k (1 + ln(T/k)) / m), how the bound depends on sparsity. */
  readonly sparsity: number
  /** The fewest samples whose routerTerm is below 1. */
  readonly samplesForRouterTermBelowOne: number
}

const WHERE = 'smoeBound'

const optionNames = {
  experts: true,
  active: true,
  samples: true,
  routerDimension: true,
  delta: true,
  lipschitz: true,
  expertComplexity: true,
} as const satisfies OptionNames<SmoeBoundOptions>

/**
 * The generalisation bound of a sparse mixture of experts (Zhao, Wang and Wang 2024, Theorem 1), its constant set to 1:
 *
 *     4 C R_m(H) + 2 sqrt([2 k d_N (1 + ln(T/k)) + d_N ln(2m) + ln(4/delta)] / (2m))
 *
 * With probability 1 - delta over m samples, the difference of true and training loss is at most of this order, for
 * losses in [0, 1], binary labels, and a router that chooses k of T experts for an item. The hidden constant makes it an
 * order and no certificate: see {@link BOUND_NOTE}.
 *
 * @throws RangeError when a number is outside its range, or an option is unknown
 */
export function smoeBound(options: SmoeBoundOptions): SmoeBound {
  checkOptionNames(WHERE, options, optionNames)
  const { experts, active, samples, routerDimension, delta = 0.05, lipschitz = 1, expertComplexity } = options
  checkCount(experts, `${WHERE}: experts`)
  checkActive(active, experts)
  checkCount(samples, `${WHERE}: samples`)
  checkNumber(routerDimension, `${WHERE}: routerDimension`, 'a number in [0, 2^53)', isDimension)
  checkNumber(delta, `${WHERE}: delta`, 'a number in (0, 1)', value => value > 0 && value < 1)
  checkNumber(lipschitz, `${WHERE}: lipschitz`, 'a number above 0', value => value > 0)
  checkNumber(expertComplexity, `${WHERE}: expertComplexity`, 'a number of at least 0', value => value >= 0)

  const masks = active * (1 + Math.log(experts / active))
  const router = { dimension: routerDimension, delta }
  const expertTerm = 4 * lipschitz * expertComplexity
  const routerTerm = termOfRouter(router, masks, samples)
  const bound = expertTerm + routerTerm
  return {
    expertTerm,
    routerTerm,
    exactRouterTerm: termOfRouter(router, Math.min(masks, logBinomial(experts, active)), samples),
    bound,
    vacuous: bound >= 1,
    sparsity: Math.sqrt(masks / samples),
    samplesForRouterTermBelowOne: fewestSamples(count => termOfRouter(router, masks, count) < 1),
  }
}

interface Router {
  /** d_N. */
  readonly dimension: number
  readonly delta: number
}

/** @param logMasks ln of the number of masks, or an upper bound of it */
function termOfRouter({ dimension, delta }: Router, logMasks: number, samples: number): number {
  const labellings = 2 * logMasks * dimension + dimension * Math.log(2 * samples)
  return 2 * Math.sqrt((labellings + Math.log(4) - Math.log(delta)) / (2 * samples))
}

function checkActive(active: number, experts: number): void {
  if (Number.isSafeInteger(active) && active >= 1 && active <= experts) return
  throw new RangeError(
    `${WHERE}: active must be an integer in [1, ${experts}], got ${active} (experts ${experts})`,
  )
}

function isDimension(value: number): boolean {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER
}

/** The first count for which it holds; it must hold for every larger one. */
function fewestSamples(holds: (samples: number) => boolean): number {
  let enough = 1
  while (!holds(enough)) enough *= 2
  let tooFew = enough / 2
  for (;;) {
    const middle = Math.floor((tooFew + enough) / 2)
    // Beyond 2^53 not every integer is a number: then the two meet before they differ by 1.
    if (middle <= tooFew || middle >= enough) return enough
    if (holds(middle)) enough = middle
    else tooFew = middle
  }
}

/** From this many factors on a binomial coefficient comes from Stirling's series. */
const MOST_FACTORS = 1000

/** ln of the binomial coefficient of n over k, 0 <= k <= n; relative error below 1e-12. */
function logBinomial(n: number, k: number): number {
  const chosen = Math.min(k, n - k)
  const rest = n - chosen
  if (chosen <= MOST_FACTORS) {
    let sum = 0
    for (let factor = 1; factor <= chosen; factor++) sum += Math.log((rest + factor) / factor)
    return sum
  }
  const leading = chosen * Math.log(n / chosen) - rest * Math.log1p(-chosen / n)
  const width = Math.log((2 * Math.PI * chosen * rest) / n) / 2
  return leading - width + (1 / n - 1 / chosen - 1 / rest) / 12
}

/** The router of {@link linearRouterDimension}. */
export interface LinearRouter {
  /** n, numbers that the router reads of an item. */
  readonly inputs: number
  /** T, experts that it scores. */
  readonly experts: number
  /** Whether each score has a bias; default false. */
  readonly bias?: boolean
}

const routerNames = { inputs: true, experts: true, bias: true } as const satisfies OptionNames<LinearRouter>

/**
 * An upper bound of the Natarajan dimension of linear routers, T n, or T (n + 1) with a bias: the k highest of T linear
 * scores are the argmax over sets of k experts of a function that is linear in the same T n weights, and such an argmax
 * has at most that dimension (Shalev-Shwartz and Ben-David, Understanding Machine Learning, Theorem 29.7).
 *
 * @throws RangeError when a count is no integer of at least 1, or an option is unknown
 */
export function linearRouterDimension(options: LinearRouter): number {
  const where = 'linearRouterDimension'
  checkOptionNames(where, options, routerNames)
  const { inputs, experts, bias = false } = options
  checkCount(inputs, `${where}: inputs`)
  checkCount(experts, `${where}: experts`)
  if (typeof bias !== 'boolean') throw new RangeError(`${where}: bias must be true or false, got ${bias}`)
  return experts * (inputs + (bias ? 1 : 0))
}
