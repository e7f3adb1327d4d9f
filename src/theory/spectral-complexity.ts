import { checkOptionNames, type OptionNames } from '../known-options.js'
import { checkCount, checkNumber } from './checks.js'

/** One layer of an expert, as a matrix. */
export interface LayerNorms {
  /** s, the largest singular value. */
  readonly spectralNorm: number
  /** b, the sum over outputs of the l2 norm of their incoming weights; 0 for a layer that is fixed in advance. */
  readonly norm21: number
  /** Entries of the matrix, integer of at least 1. */
  readonly entries: number
}

/** An expert and its inputs, as {@link spectralComplexity} reads them. */
export interface SpectralOptions {
  /** ||X||_F over all m inputs of the expert, at least 0. */
  readonly dataNorm: number
  /** m, integer of at least 1. */
  readonly samples: number
  /** The layers, at least one; between them activations with slopes in [-1, 1] that map 0 to 0. */
  readonly layers: readonly LayerNorms[]
}

/** The complexity of the networks whose layers have at most the given norms. */
export interface SpectralComplexity {
  /** A: covering numbers at radius epsilon have a logarithm of at most (A / epsilon)^2. */
  readonly covering: number
  /** B, the largest root mean square of an output over the inputs. */
  readonly range: number
  /** R_m, an upper bound of the Rademacher complexity. */
  readonly complexity: number
  /** Whether the complexity is the range itself, which holds for any class of that range. */
  readonly trivial: boolean
}

const WHERE = 'spectralComplexity'

const optionNames = {
  dataNorm: true,
  samples: true,
  layers: true,
} as const satisfies OptionNames<SpectralOptions>

const layerNames = {
  spectralNorm: true,
  norm21: true,
  entries: true,
} as const satisfies OptionNames<LayerNorms>

/**
 * An upper bound of the Rademacher complexity of a real-valued network from the norms of its layers: the covering number
 * of Bartlett, Foster and Telgarsky (2017) in Dudley's integral.
 *
 *     A = (||X||_F / sqrt m) sqrt(ln 2W) prod_i s_i (sum_i (b_i / s_i)^(2/3))^(3/2)      W = entries of the largest layer
 *     B = (||X||_F / sqrt m) prod_i s_i
 *     R_m = min(B, (12 A / sqrt m) (1 + ln(B sqrt m / (3 A))));   B where 3 A / sqrt m >= B
 *
 * A bias counts as an input that is always 1, in the kernel as well as in the data.
 *
 * @throws RangeError when a number is outside its range, a list of layers is empty, or an option is unknown
 */
export function spectralComplexity(options: SpectralOptions): SpectralComplexity {
  checkOptionNames(WHERE, options, optionNames)
  const { dataNorm, samples, layers } = options
  checkNumber(dataNorm, `${WHERE}: dataNorm`, 'a number of at least 0', isAtLeast0)
  checkCount(samples, `${WHERE}: samples`)
  checkLayers(layers)

  const root = Math.sqrt(samples)
  const range = (dataNorm / root) * layers.reduce((product, { spectralNorm }) => product * spectralNorm, 1)
  const largest = layers.reduce((entries, layer) => Math.max(entries, layer.entries), 0)
  const ratios = layers.reduce((sum, layer) => sum + shareOf(layer) ** (2 / 3), 0) ** 1.5
  const perRange = Math.sqrt(Math.log(2 * largest)) * ratios // A / B
  const dudley = range * sharePastDudley(perRange / root)
  const complexity = Math.min(range, dudley)
  return { covering: range * perRange, range, complexity, trivial: complexity === range }
}

/** Dudley's integral divided by B, at most 1. @param cover A / (B sqrt m) */
function sharePastDudley(cover: number): number {
  if (cover === 0) return 0
  return 3 * cover >= 1 ? 1 : Math.min(1, 12 * cover * (1 + Math.log(1 / (3 * cover))))
}

/** b / s; a layer of zeros maps everything to 0. */
function shareOf({ spectralNorm, norm21 }: LayerNorms): number {
  return norm21 === 0 ? 0 : norm21 / spectralNorm
}

function checkLayers(layers: readonly LayerNorms[]): void {
  if (!Array.isArray(layers) || layers.length === 0) {
    throw new RangeError(
      `${WHERE}: layers must be a list of at least 1, got ${Array.isArray(layers) ? 0 : layers}`,
    )
  }
  layers.forEach((layer: LayerNorms, i) => {
    const where = `${WHERE}: layers[${i}]`
    checkOptionNames(where, layer, layerNames)
    const { spectralNorm, norm21, entries } = layer
    checkNumber(spectralNorm, `${where}.spectralNorm`, 'a number of at least 0', isAtLeast0)
    checkNumber(norm21, `${where}.norm21`, 'a number of at least 0', isAtLeast0)
    checkCount(entries, `${where}.entries`)
    if (spectralNorm > 0 || norm21 === 0) return
    throw new RangeError(`${where}.spectralNorm must be above 0 where norm21 is, got 0 (norm21 ${norm21})`)
  })
}

function isAtLeast0(value: number): boolean {
  return value >= 0
}
