/**
 * What theory says of mixtures of experts: the generalisation bound of sparse mixtures, norms and complexities of their
 * experts, the ratios that patch-level mixtures are promised, and the ceiling of single models.
 */
export {
  BOUND_NOTE,
  type LinearRouter,
  linearRouterDimension,
  type SmoeBound,
  type SmoeBoundOptions,
  smoeBound,
} from './moe-bound.js'
export {
  delta,
  type PmoeTheory,
  type PmoeTheoryOptions,
  pmoeTheory,
  type TheoryRatios,
} from './pmoe-theory.js'
export { classMargins, rampLoss } from './ramp-loss.js'
export { type ClusterLaws, singleModelCeiling } from './single-model-ceiling.js'
export {
  type LayerNorms,
  type SpectralComplexity,
  type SpectralOptions,
  spectralComplexity,
} from './spectral-complexity.js'
export { type Kernel, norm21, type PatchConvolution, spectralNorm } from './spectral-norm.js'
