import { permutation, type Random, random } from '../../random.js'
import type { ImageSet } from '../image-set.js'

/**
 * The published settings of clustered samples: how large the feature noise gets, and the standard deviation sigma of the
 * noise patch (Chen, Deng, Wu, Gu, Li, NeurIPS 2022).
 *
 * In S3 and S4 feature noise has the law of the signal; no single function summed over the patches then tells more than
 * 87.5 % of the samples apart (their theorem 4.1).
 */
export const clusterSettings = {
  S1: { largestFeatureNoise: 3, sigma: 1 },
  S2: { largestFeatureNoise: 3, sigma: 2 },
  S3: { largestFeatureNoise: 2, sigma: 1 },
  S4: { largestFeatureNoise: 2, sigma: 2 },
} as const
export type ClusterSetting = keyof typeof clusterSettings

/** The names of the settings. */
export const CLUSTER_SETTINGS = Object.keys(clusterSettings) as readonly ClusterSetting[]

const clusters = 4
const patches = 4
const dimensions = 50
/** What every patch is multiplied by. */
const scale = 10

/** Eight orthonormal vectors of 50 numbers. */
export interface ClusterBasis {
  /** v_1 .. v_4, whose sign in a sample of their cluster is the label. */
  readonly features: readonly Float64Array[]
  /** c_1 .. c_4, which tell the cluster. */
  readonly centres: readonly Float64Array[]
}

/** The basis of a seed: Gaussian vectors made orthonormal one after the other, the same in every setting. */
export function clusterBasis(seed: number): ClusterBasis {
  const chance = random(seed, 'cluster basis')
  const vectors: Float64Array[] = []
  while (vectors.length < 2 * clusters) {
    const vector = Float64Array.from({ length: dimensions }, () => chance.normal())
    for (const other of vectors) {
      const along = vector.reduce((sum, value, i) => sum + value * other[i]!, 0)
      for (const [i, value] of other.entries()) vector[i]! -= along * value
    }
    const length = Math.hypot(...vector)
    vectors.push(vector.map(value => value / length))
  }
  return { features: vectors.slice(0, clusters), centres: vectors.slice(clusters) }
}

/** Which samples to draw. */
export interface ClusterSamplesOptions {
  readonly setting: ClusterSetting
  /** How many samples. */
  readonly count: number
  /** Decides on the basis and on the samples; fewer samples of a seed are the first of more. */
  readonly seed: number
  /** Training and test samples of a seed have one basis, and draws of their own. */
  readonly half: 'train' | 'test'
}

/**
 * Draws samples of four patches, in random order: y alpha v_k, beta c_k, eps gamma v_k' and Gaussian noise, where the
 * label y, the cluster k, another cluster k' and eps in {-1, 1} are uniform, alpha ~ U(0.5, 2), beta ~ U(1, 2),
 * gamma ~ U(0.5, the setting's largest), the noise N(0, sigma^2 / 50) in each number; all times 10.
 *
 * @returns (count, 4, 1, 50) floats; class 0 is y = -1; the groups are the clusters, the true cell that of y alpha v_k
 * @throws RangeError when the setting is unknown or `count` is not an integer of at least 0
 */
export function clusterSamples(options: ClusterSamplesOptions): ImageSet<Float32Array> {
  checkOptions(options)
  const { setting, count, seed, half } = options
  const basis = clusterBasis(seed)
  const images = new Float32Array(count * patches * dimensions)
  const [labels, groups, trueCell] = [new Int32Array(count), new Int32Array(count), new Int32Array(count)]
  const chance = random(seed, `cluster samples: ${half}`)
  for (let i = 0; i < count; i++) {
    const sample = images.subarray(i * patches * dimensions, (i + 1) * patches * dimensions)
    const drawn = drawSample(sample, basis, clusterSettings[setting], chance)
    labels[i] = drawn.label
    groups[i] = drawn.cluster
    trueCell[i] = drawn.cell
  }
  return {
    images,
    labels,
    count,
    shape: [patches, 1, dimensions],
    classNames: ['-1', '+1'],
    groupNames: basis.centres.map((_, cluster) => `cluster ${cluster + 1}`),
    groups,
    cells: [patches, 1],
    trueCell,
  }
}

function drawSample(
  sample: Float32Array,
  { features, centres }: ClusterBasis,
  { largestFeatureNoise, sigma }: (typeof clusterSettings)[ClusterSetting],
  chance: Random,
): { readonly label: number; readonly cluster: number; readonly cell: number } {
  const label = chance.below(2)
  const cluster = chance.below(clusters)
  const other = (cluster + 1 + chance.below(clusters - 1)) % clusters
  const sign = chance.below(2) === 0 ? -1 : 1
  const alpha = uniform(0.5, 2, chance)
  const beta = uniform(1, 2, chance)
  const gamma = uniform(0.5, largestFeatureNoise, chance)
  const [signal, centre, feature, noise] = permutation(patches, chance) as unknown as [
    number,
    number,
    number,
    number,
  ]
  const write = (cell: number, value: (i: number) => number) => {
    for (let i = 0; i < dimensions; i++) sample[cell * dimensions + i] = scale * value(i)
  }
  write(signal, i => (label === 0 ? -alpha : alpha) * features[cluster]![i]!)
  write(centre, i => beta * centres[cluster]![i]!)
  write(feature, i => sign * gamma * features[other]![i]!)
  write(noise, () => (sigma / Math.sqrt(dimensions)) * chance.normal())
  return { label, cluster, cell: signal }
}

function uniform(from: number, to: number, chance: Random): number {
  return from + (to - from) * chance.next()
}

function checkOptions({ setting, count }: ClusterSamplesOptions): void {
  if (!Object.hasOwn(clusterSettings, setting)) {
    throw new RangeError(
      `theory-clusters: setting must be one of ${CLUSTER_SETTINGS.join(', ')}, got ${JSON.stringify(setting)}`,
    )
  }
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`theory-clusters: count must be an integer of at least 0, got ${count}`)
  }
}
