import { readFileSync } from 'node:fs'
import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  norm21,
  type SpectralComplexity,
  type SpectralOptions,
  spectralComplexity,
  spectralNorm,
} from '../../src/theory/index.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(useTestBackend)

const goldens = JSON.parse(readFileSync('test/goldens/bounds.json', 'utf8')) as {
  spectralComplexity: { input: SpectralOptions; output: SpectralComplexity }[]
  matrices: { kernel: number[][]; spectralNorm: number; norm21: number }[]
}

/** The largest singular value by one-sided Jacobi rotations: columns are turned until all are orthogonal. */
function largestSingularValue(matrix: readonly (readonly number[])[]): number {
  const columns = (matrix[0] ?? []).map((_, j) => matrix.map(row => row[j] as number))
  const dot = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, value, i) => sum + value * (b[i] as number), 0)
  for (let sweep = 0; sweep < 15; sweep++) {
    for (let p = 0; p < columns.length; p++) {
      for (let q = p + 1; q < columns.length; q++) {
        const [a, b] = [columns[p] as number[], columns[q] as number[]]
        const angle = Math.atan2(2 * dot(a, b), dot(a, a) - dot(b, b)) / 2
        const [cosine, sine] = [Math.cos(angle), Math.sin(angle)]
        columns[p] = a.map((value, i) => cosine * value + sine * (b[i] as number))
        columns[q] = b.map((value, i) => cosine * value - sine * (a[i] as number))
      }
    }
  }
  return Math.sqrt(Math.max(...columns.map(column => dot(column, column))))
}

/** The matrix (inputs, outputs) of a convolution of one patch: its answers to the unit vectors. */
function matrixOf(kernel: tf.Tensor4D, size: [number, number], padding: 'same' | 'valid'): number[][] {
  return tf.tidy(() => {
    const inputs = size[0] * size[1] * (kernel.shape[2] as number)
    const units = tf.reshape(tf.eye(inputs), [inputs, ...size, kernel.shape[2]]) as tf.Tensor4D
    return tf.reshape(tf.conv2d(units, kernel, 1, padding), [inputs, -1]).arraySync() as number[][]
  })
}

const entry = fc.double({ min: -3, max: 3, noNaN: true })
const matrices = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }))
  .chain(([rows, columns]) =>
    fc.array(fc.array(entry, { minLength: columns, maxLength: columns }), {
      minLength: rows,
      maxLength: rows,
    }),
  )

describe('spectralNorm and norm21', () => {
  it.each(goldens.matrices)('have the reference norms', ({ kernel, ...norms }) => {
    expectAllClose([spectralNorm(kernel), norm21(kernel)], [norms.spectralNorm, norms.norm21], 1e-9, 0)
  })

  it('agree with rotations until the columns are orthogonal', () => {
    fc.assert(
      fc.property(matrices, matrix => {
        expectAllClose([spectralNorm(matrix)], [largestSingularValue(matrix)], 1e-6, 1e-12)
      }),
    )
  })

  it('lie in the order of matrix norms', () => {
    fc.assert(
      fc.property(matrices, matrix => {
        const frobenius = Math.hypot(...matrix.flat())
        expect(spectralNorm(matrix)).toBeLessThanOrEqual(frobenius * (1 + 1e-9))
        expect(norm21(matrix)).toBeGreaterThanOrEqual(frobenius * (1 - 1e-9))
      }),
    )
  })

  it('read a tensor and a kernel of one window, and leave no tensor behind', () => {
    const { kernel } = goldens.matrices[1] as { kernel: number[][] }
    const window = tf.tensor4d(kernel.flat(), [1, 5, 1, 4])
    const matrix = tf.tensor2d(kernel)
    const before = tf.memory().numTensors
    expectAllClose([spectralNorm(window), norm21(window)], [spectralNorm(kernel), norm21(kernel)], 1e-6, 0)
    expectAllClose([spectralNorm(matrix), norm21(matrix)], [spectralNorm(kernel), norm21(kernel)], 1e-6, 0)
    spectralNorm(window, { patchSize: [3, 6] })
    norm21(window, { patchSize: [3, 6] })
    expect(tf.memory().numTensors).toBe(before)
  })

  it.each([
    ['same', [4, 4], [3, 3, 2, 5]],
    ['valid', [5, 4], [3, 3, 2, 3]],
    ['same', [3, 2], [1, 1, 4, 3]],
    ['same', [2, 5], [3, 1, 1, 2]],
  ] as const)('of a %s convolution are those of its matrix on a patch of %j', (padding, size, shape) => {
    const kernel = tf.randomNormal<tf.Rank.R4>([...shape], 0, 1, 'float32', 7)
    const matrix = matrixOf(kernel, [...size], padding)
    const convolution = { patchSize: size, padding }
    expectAllClose([spectralNorm(kernel, convolution)], [largestSingularValue(matrix)], 1e-5, 0)
    expectAllClose([norm21(kernel, convolution)], [norm21(matrix)], 1e-5, 0)
  })

  it('of zeros are 0, and scale with the kernel', () => {
    const zeros = [
      [0, 0],
      [0, 0],
      [0, 0],
    ]
    expect([spectralNorm(zeros), norm21(zeros)]).toEqual([0, 0])
    expect(spectralNorm(tf.zeros<tf.Rank.R4>([3, 3, 1, 2]), { patchSize: 4 })).toBe(0)
    // 3-4-5: rank 1, both columns of length 5e200.
    const large = [
      [3e200, 3e200],
      [4e200, 4e200],
    ]
    expectAllClose([spectralNorm(large), norm21(large)], [5e200 * Math.SQRT2, 1e201], 1e-9, 0)
  })

  it.each([
    [[1, 2], 'kernel must be (inputs, outputs) or (kh, kw, C, outputs), got shape (2)'],
    [[[1, 2], [3]], 'kernel must be (inputs, outputs) or (kh, kw, C, outputs), got shape (2)'],
    [[[]], 'kernel must be (inputs, outputs) or (kh, kw, C, outputs), got shape (1, 0)'],
    [[[1, Number.NaN]], 'kernel must hold finite numbers, got NaN (number 1)'],
  ])('refuse the kernel %j', (kernel, message) => {
    expect(() => spectralNorm(kernel as number[][])).toThrow(new RangeError(`spectralNorm: ${message}`))
    expect(() => norm21(kernel as number[][])).toThrow(new RangeError(`norm21: ${message}`))
  })

  it('refuse patches that a kernel does not convolve', () => {
    const kernel = tf.ones<tf.Rank.R4>([3, 3, 1, 1])
    expect(() => spectralNorm(kernel, { patchSize: [4, 2], padding: 'valid' })).toThrow(
      "spectralNorm: patchSize must be at least the kernel of a 'valid' convolution, got 4x2 (kernel 3x3)",
    )
    expect(() => norm21([[1]], { patchSize: 2 })).toThrow(
      'norm21: kernel of a convolution must be (kh, kw, C, outputs), got shape (1, 1)',
    )
    expect(() => [[[1]], [[1]]].map(spectralNorm as (matrix: number[][]) => number)).toThrow(
      new TypeError('spectralNorm: options must be an object, got 1'),
    )
    expect(() => spectralNorm(kernel, { patchSize: 0 })).toThrow(
      'spectralNorm: patchSize must be a positive integer or [height, width] of them, got 0',
    )
  })
})

describe('spectralComplexity', () => {
  it.each(goldens.spectralComplexity)('has the reference value for $input', ({ input, output }) => {
    const { trivial, ...numbers } = spectralComplexity(input)
    const { trivial: expected, ...values } = output
    expect(trivial).toBe(expected)
    expect(Object.keys(numbers)).toEqual(Object.keys(values))
    expectAllClose(Object.values(numbers), Object.values(values), 1e-9, 0)
  })

  const layer = { spectralNorm: 2, norm21: 3, entries: 10 }

  it('never exceeds the range, and falls with more samples of the same size', () => {
    const positive = fc.double({ min: 0.01, max: 50, noNaN: true })
    const layers = fc.array(
      fc.record({ spectralNorm: positive, norm21: positive, entries: fc.integer({ min: 1, max: 1e6 }) }),
      { minLength: 1, maxLength: 4 },
    )
    fc.assert(
      fc.property(layers, positive, fc.integer({ min: 1, max: 1e9 }), (list, size, samples) => {
        const of = (count: number) =>
          spectralComplexity({ dataNorm: size * Math.sqrt(count), samples: count, layers: list })
        expect(of(samples).complexity).toBeLessThanOrEqual(of(samples).range)
        expect(of(samples).trivial).toBe(of(samples).complexity === of(samples).range)
        expect(of(4 * samples).complexity).toBeLessThanOrEqual(of(samples).complexity * (1 + 1e-9))
      }),
    )
  })

  it('is 0 where an expert gives only zeros, or cannot be any other', () => {
    const nothing = { spectralNorm: 0, norm21: 0, entries: 10 }
    const zero = { covering: 0, range: 0, complexity: 0, trivial: true }
    expect(spectralComplexity({ dataNorm: 3, samples: 9, layers: [layer, nothing] })).toEqual(zero)
    expect(spectralComplexity({ dataNorm: 0, samples: 9, layers: [layer] })).toEqual(zero)
    // Fixed in advance: the class is one function.
    const fixed = { ...layer, norm21: 0 }
    expect(spectralComplexity({ dataNorm: 3, samples: 9, layers: [fixed] })).toEqual({
      covering: 0,
      range: 2,
      complexity: 0,
      trivial: false,
    })
  })

  it.each([
    [{ dataNorm: -1 }, 'dataNorm must be a number of at least 0, got -1'],
    [{ samples: 0 }, 'samples must be an integer of at least 1, got 0'],
    [{ layers: [] }, 'layers must be a list of at least 1, got 0'],
    [
      { layers: [layer, { ...layer, spectralNorm: Infinity }] },
      'layers[1].spectralNorm must be a number of at least 0, got Infinity',
    ],
    [{ layers: [{ ...layer, norm21: -3 }] }, 'layers[0].norm21 must be a number of at least 0, got -3'],
    [{ layers: [{ ...layer, entries: 0.5 }] }, 'layers[0].entries must be an integer of at least 1, got 0.5'],
    [
      { layers: [{ ...layer, spectralNorm: 0 }] },
      'layers[0].spectralNorm must be above 0 where norm21 is, got 0 (norm21 3)',
    ],
  ])('refuses %o', (change, message) => {
    expect(() => spectralComplexity({ dataNorm: 1, samples: 4, layers: [layer], ...change })).toThrow(
      new RangeError(`spectralComplexity: ${message}`),
    )
  })
})
