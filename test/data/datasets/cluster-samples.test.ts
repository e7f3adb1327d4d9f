import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CLUSTER_SETTINGS,
  type ClusterBasis,
  type ClusterSetting,
  clusterBasis,
  clusterSamples,
  clusterSettings,
} from '../../../src/data/datasets/cluster-samples.js'
import type { ImageSet } from '../../../src/data/image-set.js'

const inner = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

const patchOf = (set: ImageSet, sample: number, cell: number) =>
  set.images.subarray((4 * sample + cell) * 50, (4 * sample + cell + 1) * 50)

/** What a sample was drawn with, read back from its numbers. */
interface Drawn {
  readonly cluster: number
  readonly other: number
  /** y alpha, beta, eps gamma. */
  readonly signal: number
  readonly centre: number
  readonly feature: number
  /** The noise, and the cells of signal, centre, feature noise and noise. */
  readonly noise: ArrayLike<number>
  readonly cells: readonly number[]
}

function readBack(set: ImageSet, basis: ClusterBasis, sample: number): Drawn {
  const cells = [0, 1, 2, 3]
  /** The cell and number of the vector along which a patch lies to its whole length; noise lies along none. */
  const along = (vectors: readonly Float64Array[]) =>
    cells.flatMap(cell =>
      vectors.flatMap((vector, index) => {
        const patch = patchOf(set, sample, cell)
        const value = inner(patch, vector)
        return Math.abs(Math.abs(value) - Math.sqrt(inner(patch, patch))) < 1e-4
          ? [{ cell, index, value: value / 10 }]
          : []
      }),
    )
  const [centre, ...noCentre] = along(basis.centres)
  const features = along(basis.features)
  const signal = features.find(({ cell }) => cell === set.trueCell![sample])
  const feature = features.find(({ cell }) => cell !== set.trueCell![sample])
  if (!centre || !signal || !feature || noCentre.length > 0 || features.length !== 2) {
    throw new Error(`sample ${sample} must have one signal, one centre and one feature noise`)
  }
  const noiseCell = cells.find(cell => ![centre.cell, signal.cell, feature.cell].includes(cell))!
  expect(centre.index).toBe(signal.index)
  return {
    cluster: signal.index,
    other: feature.index,
    signal: signal.value,
    centre: centre.value,
    feature: feature.value,
    noise: patchOf(set, sample, noiseCell),
    cells: [signal.cell, centre.cell, feature.cell, noiseCell],
  }
}

const count = 4000
const drawn = (setting: ClusterSetting, seed = 3) => {
  const set = clusterSamples({ setting, count, seed, half: 'train' })
  const basis = clusterBasis(seed)
  return { set, samples: Array.from({ length: count }, (_, i) => readBack(set, basis, i)) }
}
const bySetting = new Map(CLUSTER_SETTINGS.map(setting => [setting, drawn(setting)]))

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const variance = (values: readonly number[]) => {
  const center = mean(values)
  return mean(values.map(value => (value - center) ** 2))
}

/** A share of `count` draws of probability p lies this near to p but once in 10^5 times. */
const expectShare = (hits: number, p: number) =>
  expect(Math.abs(hits / count - p)).toBeLessThanOrEqual(4.5 * Math.sqrt((p * (1 - p)) / count))

/** Values are uniform on [from, to]: in range, near its ends, and of its mean and variance. */
function expectUniform(values: readonly number[], from: number, to: number): void {
  expect(Math.min(...values)).toBeGreaterThan(from - 1e-5)
  expect(Math.max(...values)).toBeLessThan(to + 1e-5)
  expect(Math.min(...values) - from).toBeLessThan(0.01 * (to - from))
  expect(to - Math.max(...values)).toBeLessThan(0.01 * (to - from))
  const deviation = (to - from) / Math.sqrt(12)
  expect(Math.abs(mean(values) - (from + to) / 2)).toBeLessThan((4.5 * deviation) / Math.sqrt(values.length))
  expect(variance(values) / deviation ** 2).toBeCloseTo(1, 1)
}

describe('clusterBasis', () => {
  it('is eight orthonormal vectors of 50 numbers, whatever the seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), seed => {
        const { features, centres } = clusterBasis(seed)
        const vectors = [...features, ...centres]
        expect(vectors.map(({ length }) => length)).toEqual(Array(8).fill(50))
        for (const [i, a] of vectors.entries())
          for (const [j, b] of vectors.entries()) expect(inner(a, b)).toBeCloseTo(i === j ? 1 : 0, 12)
      }),
    )
  })

  it('differs between seeds, and has no direction of its own', () => {
    expect(clusterBasis(1)).toEqual(clusterBasis(1))
    expect(clusterBasis(2)).not.toEqual(clusterBasis(1))
    // Squares of the first number of v_1: 1/50 in the mean, over 2000 seeds.
    const squares = Array.from({ length: 2000 }, (_, seed) => clusterBasis(seed).features[0]![0]! ** 2)
    expect(Math.abs(mean(squares) - 1 / 50)).toBeLessThan((4.5 * Math.sqrt(2)) / 50 / Math.sqrt(2000))
  })
})

describe.each(CLUSTER_SETTINGS)('clusterSamples of %s', setting => {
  const { set, samples } = bySetting.get(setting)!
  const { largestFeatureNoise, sigma } = clusterSettings[setting]

  it('has the signal, the centre and the feature noise of its labels and groups', () => {
    expect([set.shape, set.cells, set.count]).toEqual([[4, 1, 50], [4, 1], count])
    expect([set.classNames, set.groupNames]).toEqual([
      ['-1', '+1'],
      ['cluster 1', 'cluster 2', 'cluster 3', 'cluster 4'],
    ])
    for (const [i, { cluster, other, signal, centre }] of samples.entries()) {
      expect(set.groups![i]).toBe(cluster)
      expect(Math.sign(signal)).toBe(set.labels[i] === 1 ? 1 : -1)
      expect(centre).toBeGreaterThan(0)
      expect(other).not.toBe(cluster)
    }
  })

  it('draws labels, clusters, other clusters, signs and cells uniformly and independently', () => {
    for (const label of [-1, 1])
      for (const sign of [-1, 1]) {
        const hits = samples.filter(
          ({ signal, feature }) => Math.sign(signal) === label && Math.sign(feature) === sign,
        )
        expectShare(hits.length, 1 / 4)
      }
    for (let k = 0; k < 4; k++)
      for (let l = 0; l < 4; l++) {
        const hits = samples.filter(({ cluster, other }) => cluster === k && other === l)
        expectShare(hits.length, k === l ? 0 : 1 / 12)
      }
    for (let part = 0; part < 4; part++)
      for (let cell = 0; cell < 4; cell++)
        expectShare(samples.filter(({ cells }) => cells[part] === cell).length, 1 / 4)
    // Labels tell nothing of clusters.
    for (let k = 0; k < 4; k++)
      expectShare(samples.filter(({ cluster, signal }) => cluster === k && signal > 0).length, 1 / 8)
  })

  it('draws alpha, beta and gamma from their ranges, and noise of variance 100 sigma^2 / 50', () => {
    expectUniform(
      samples.map(({ signal }) => Math.abs(signal)),
      0.5,
      2,
    )
    expectUniform(
      samples.map(({ centre }) => centre),
      1,
      2,
    )
    expectUniform(
      samples.map(({ feature }) => Math.abs(feature)),
      0.5,
      largestFeatureNoise,
    )
    const noise = samples.flatMap(sample => Array.from(sample.noise))
    const expected = 2 * sigma ** 2
    expect(Math.abs(mean(noise))).toBeLessThan(4.5 * Math.sqrt(expected / noise.length))
    expect(Math.abs(variance(noise) / expected - 1)).toBeLessThan(4.5 * Math.sqrt(2 / noise.length))
    const fourth = mean(noise.map(value => value ** 4)) / expected ** 2
    expect(fourth).toBeCloseTo(3, 0)
  })
})

/**
 * The share of samples that the best sum over patches of one function tells apart, among the functions that are constant
 * on intervals of the place along each feature: logistic regression, by plain gradient descent.
 */
function bestSum({ set, samples }: ReturnType<typeof drawn>): number {
  const bins = 12
  const binOf = (direction: number, value: number) =>
    2 * bins * direction +
    (value > 0 ? bins : 0) +
    Math.min(bins - 1, Math.floor((Math.abs(value) - 0.5) / 0.25))
  const rows = samples.map(({ cluster, other, signal, feature }) => [
    binOf(cluster, signal),
    binOf(other, feature),
    8 * bins + cluster,
  ])
  const weights = new Float64Array(8 * bins + 4)
  for (let step = 0; step < 300; step++) {
    const gradient = new Float64Array(weights.length)
    for (const [i, row] of rows.entries()) {
      const score = row.reduce((sum, index) => sum + weights[index]!, 0)
      const error = 1 / (1 + Math.exp(-score)) - set.labels[i]!
      for (const index of row) gradient[index]! += error
    }
    for (const [index, value] of gradient.entries()) weights[index]! -= (30 * value) / count
  }
  const right = rows.filter((row, i) => {
    const score = row.reduce((sum, index) => sum + weights[index]!, 0)
    return (score > 0 ? 1 : 0) === set.labels[i]
  })
  return right.length / count
}

describe('theorem 4.1', () => {
  it.each(['S3', 'S4'] as const)('gives signal and feature noise one law in %s', setting => {
    const { samples } = bySetting.get(setting)!
    const sorted = (values: number[]) => values.map(Math.abs).sort((a, b) => a - b)
    const signals = sorted(samples.map(({ signal }) => signal))
    const features = sorted(samples.map(({ feature }) => feature))
    // Kolmogorov and Smirnov: the distributions differ by less than 1.95 sqrt(2 / n) but once in 1000 times.
    let [distance, j] = [0, 0]
    for (const [i, value] of signals.entries()) {
      while (j < count && features[j]! <= value) j++
      distance = Math.max(distance, Math.abs((i + 1 - j) / count))
    }
    expect(distance).toBeLessThan(1.95 * Math.sqrt(2 / count))
  })

  it.each(['S3', 'S4'] as const)('bounds every sum over patches by 87.5 percent in %s', setting => {
    const share = bestSum(bySetting.get(setting)!)
    // On the samples that it was fitted to; 100 numbers fit some of their chance.
    expect(share).toBeGreaterThan(0.7)
    expect(share).toBeLessThan(0.875 + 0.02)
  })

  it.each([
    ['S1', 0.925],
    ['S2', 0.925],
    ['S3', 0.875],
    ['S4', 0.875],
  ] as const)(
    'is reached in %s by one sum over patches, which is right for a share of %d',
    (setting, share) => {
      // Larger weights win against smaller ones; the centre of the smaller one's cluster saves half of its samples. A
      // feature longer than any signal is noise, and counts 0: two fifths of it where gamma ~ U(0.5, 3).
      const weights = [20, 28, 30, 30.5]
      const shifts = [15, 5, 1, 0]
      const { set, samples } = bySetting.get(setting)!
      const right = samples.filter(({ cluster, other, signal, feature }, i) => {
        const noise = Math.abs(feature) > 2 ? 0 : Math.sign(feature) * weights[other]!
        const score = Math.sign(signal) * weights[cluster]! + noise + shifts[cluster]!
        return (score > 0 ? 1 : 0) === set.labels[i]
      })
      expectShare(right.length, share)
    },
  )
})

describe('seeds', () => {
  const few = { setting: 'S1', count: 20, seed: 5, half: 'train' } as const

  it('draw more samples as a continuation of fewer, and others for another seed or half', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.integer({ min: 0, max: 30 }), fc.nat(30), (seed, fewer, more) => {
        const start = clusterSamples({ ...few, seed, count: fewer })
        const all = clusterSamples({ ...few, seed, count: fewer + more })
        expect(all.images.subarray(0, start.images.length)).toEqual(start.images)
        expect(all.labels.subarray(0, fewer)).toEqual(start.labels)
        expect(all.groups!.subarray(0, fewer)).toEqual(start.groups)
        expect(all.trueCell!.subarray(0, fewer)).toEqual(start.trueCell)
      }),
      { numRuns: 25 },
    )
    const { images } = clusterSamples(few)
    expect(clusterSamples(few).images).toEqual(images)
    expect(clusterSamples({ ...few, seed: 6 }).images).not.toEqual(images)
    expect(clusterSamples({ ...few, half: 'test' }).images).not.toEqual(images)
  })

  it('give training and test samples one basis', () => {
    const basis = clusterBasis(5)
    const test = clusterSamples({ ...few, half: 'test' })
    for (let i = 0; i < 20; i++) expect(readBack(test, basis, i).cluster).toBe(test.groups![i])
    expect(() => readBack(test, clusterBasis(6), 0)).toThrow(/must have one signal/)
  })
})

describe('clusterSamples', () => {
  it.each([
    [{ setting: 'S5' }, 'setting must be one of S1, S2, S3, S4, got "S5"'],
    [{ setting: 'toString' }, 'setting must be one of S1, S2, S3, S4, got "toString"'],
    [{ setting: undefined }, 'setting must be one of S1, S2, S3, S4, got undefined'],
    [{ count: -1 }, 'count must be an integer of at least 0, got -1'],
    [{ count: 1.5 }, 'count must be an integer of at least 0, got 1.5'],
    [{ count: Number.NaN }, 'count must be an integer of at least 0, got NaN'],
  ])('refuses %j', (changed, message) => {
    const options = { setting: 'S1', count: 2, seed: 1, half: 'train', ...changed }
    expect(() => clusterSamples(options as Parameters<typeof clusterSamples>[0])).toThrow(
      new RangeError(`theory-clusters: ${message}`),
    )
  })

  it('draws none where none are asked for', () => {
    const none = clusterSamples({ setting: 'S2', count: 0, seed: 1, half: 'test' })
    expect([none.count, none.images.length, none.labels.length]).toEqual([0, 0, 0])
  })
})
