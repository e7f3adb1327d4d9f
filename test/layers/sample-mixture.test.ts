import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fixInput } from '../../src/layers/fixed-inputs.js'
import { BANK_ACTIVATIONS, type BankActivation } from '../../src/layers/moe/filter-banks.js'
import {
  blockCount,
  choicesInBlocks,
  choicesOfBlocks,
  samplesInBlocks,
  sortChoices,
} from '../../src/layers/moe/sample-blocks.js'
import {
  type MixtureForm,
  mixtureForm,
  type SampleExpertSizes,
  sampleMixture,
} from '../../src/layers/moe/sample-mixture.js'
import { random } from '../../src/random.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { centralDifferences } from './brute-force.js'
import { draw, holds, tensorOf } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

describe('sortChoices', () => {
  it('lays the choices of an expert side by side, and fills its last block with empty places', () => {
    // Expert 1 is chosen by samples 0 and 2 and 4, expert 2 by 1, expert 0 by none, expert 3 by 3; blocks of 2.
    const chosen = tf.tensor2d([[1], [2], [1], [3], [1]], [5, 1], 'int32')
    const blocks = sortChoices(chosen, 4, 2)
    expect(blocks.count).toBe(4) // (5 + 4) / 2
    expect(Array.from(blocks.experts.dataSync())).toEqual([1, 1, 2, 3])
    expect(Array.from(blocks.choices.dataSync())).toEqual([1, 3, 5, 0, 2, 0, 4, 0])
    expect(Array.from(blocks.places.dataSync())).toEqual([0, 4, 1, 6, 2])
  })

  const cases = fc.record({
    batch: fc.integer({ min: 1, max: 20 }),
    experts: fc.integer({ min: 1, max: 6 }),
    perSample: fc.integer({ min: 1, max: 3 }),
    size: fc.integer({ min: 1, max: 9 }),
    seed: fc.integer(),
  })
  it('gives every choice a place of its own in a block of its expert, whatever is chosen', () => {
    holds(
      cases,
      ({ batch, experts, perSample, size, seed }) => {
        const source = random(seed)
        const chosen = Array.from({ length: batch * perSample }, () => source.below(experts))
        const blocks = sortChoices(tf.tensor2d(chosen, [batch, perSample], 'int32'), experts, size)
        const places = Array.from(blocks.places.dataSync())
        const ofBlocks = Array.from(blocks.experts.dataSync())
        expect(blocks.count).toBe(blockCount(chosen.length, experts, size))
        expect(new Set(places).size).toBe(chosen.length)
        expect(places.map(place => ofBlocks[Math.floor(place / size)])).toEqual(chosen)
        const choices = Array.from(blocks.choices.dataSync())
        expect(places.map(place => choices[place])).toEqual(chosen.map((_, i) => i + 1))
        expect(choices.filter(choice => choice > 0).length).toBe(chosen.length)
        expect(ofBlocks.every(expert => expert >= 0 && expert < experts)).toBe(true)

        const samples = tf.range(0, batch).reshape([batch, 1]) as tf.Tensor2D
        const sampleAt = samplesInBlocks(samples, blocks, perSample).dataSync()
        expect(places.map(place => sampleAt[place])).toEqual(chosen.map((_, i) => Math.floor(i / perSample)))
        const rows = tf.range(1, chosen.length + 1).reshape([-1, 1]) as tf.Tensor2D
        const laid = choicesInBlocks(rows, blocks)
        expect(Array.from(laid.dataSync())).toEqual(choices)
        expect(Array.from(choicesOfBlocks(laid, blocks).dataSync())).toEqual(chosen.map((_, i) => i + 1))
      },
      60,
    )
  })
})

interface Numbers {
  readonly x: Float64Array
  readonly gates: Float64Array
  readonly kernel: Float64Array
  readonly bias: Float64Array
}

const activate: Record<BankActivation, (z: number) => number> = {
  cubic: z => z ** 3,
  linear: z => z,
  relu: z => Math.max(z, 0),
}

/** The mixture as plain loops: the sum over chosen experts of gate times outputs. */
function byHand(
  { x, gates, kernel, bias }: Numbers,
  chosen: readonly (readonly number[])[],
  width: number,
  { experts, outputs, filtersPerOutput, patches, activation }: SampleExpertSizes,
): Float64Array {
  const columns = experts * outputs * filtersPerOutput
  const y = new Float64Array(chosen.length * outputs)
  chosen.forEach((own, b) => {
    own.forEach((expert, i) => {
      for (let o = 0; o < outputs; o++)
        for (let j = 0; j < filtersPerOutput; j++)
          for (let p = 0; p < patches; p++) {
            const column = (expert * outputs + o) * filtersPerOutput + j
            let z = bias[column]!
            for (let c = 0; c < width; c++)
              z += x[(b * patches + p) * width + c]! * kernel[c * columns + column]!
            y[b * outputs + o]! += gates[b * own.length + i]! * activate[activation](z)
          }
    })
  })
  return y
}

const sizes: Omit<SampleExpertSizes, 'activation'> = {
  experts: 4,
  outputs: 2,
  filtersPerOutput: 3,
  patches: 3,
}
const [BATCH, WIDTH] = [7, 5]
const COLUMNS = sizes.experts * sizes.outputs * sizes.filtersPerOutput
const forms: MixtureForm[] = ['all', 1, 2, 3, 8]

// Expert 2 is chosen by nobody.
const choices = {
  1: [[1], [0], [3], [1], [1], [0], [3]],
  2: [
    [1, 0],
    [0, 3],
    [3, 1],
    [1, 3],
    [1, 0],
    [0, 1],
    [3, 0],
  ],
}

function numbers(perSample: number): Numbers {
  return {
    x: draw(BATCH * sizes.patches * WIDTH, 1),
    gates: draw(BATCH * perSample, 2),
    kernel: draw(WIDTH * COLUMNS, 3),
    bias: draw(COLUMNS, 4),
  }
}

describe.each(forms)('sampleMixture in the form %s', form => {
  const cases = BANK_ACTIVATIONS.flatMap(activation => ([1, 2] as const).map(k => [activation, k] as const))

  it.each(cases)('equals plain loops, values and gradients: %s, k = %i', (activation, perSample) => {
    const values = numbers(perSample)
    const own = choices[perSample]
    const chosen = tf.tensor2d(own, [BATCH, perSample], 'int32')
    const all = { ...sizes, activation }
    const shapes = {
      x: [BATCH, sizes.patches, WIDTH],
      gates: [BATCH, perSample],
      kernel: [WIDTH, COLUMNS],
      bias: [COLUMNS],
    } as const
    const names = Object.keys(shapes) as (keyof Numbers)[]
    const tensors = names.map(name => tensorOf(values[name], shapes[name]))
    const compute = (...[x, gates, kernel, bias]: tf.Tensor[]) =>
      sampleMixture(
        x as tf.Tensor3D,
        { chosen, gates: gates as tf.Tensor2D },
        { kernel: kernel as tf.Tensor2D, bias: bias as tf.Tensor1D },
        all,
        form,
      )
    const plain = (changed: Partial<Numbers>) => byHand({ ...values, ...changed }, own, WIDTH, all)
    expectAllClose(compute(...tensors).dataSync(), plain({}))
    const cotangent = draw(BATCH * sizes.outputs, 9)
    const gradients = tf.grads((...inputs) => compute(...inputs))(
      tensors,
      tensorOf(cotangent, [BATCH, sizes.outputs]),
    )
    names.forEach((name, i) => {
      const expected = centralDifferences(values[name], moved => plain({ [name]: moved }), cotangent)
      expect(gradients[i]!.shape).toEqual(shapes[name])
      expectAllClose(gradients[i]!.dataSync(), expected, 1e-3, 1e-4)
    })
  })

  it('gives an expert that nobody chose the gradient 0, and a sample with NaN no other than its own answer', () => {
    const values = numbers(1)
    values.x[2 * sizes.patches * WIDTH] = Number.NaN
    const chosen = tf.tensor2d(choices[1], [BATCH, 1], 'int32')
    const x = fixInput(tensorOf<tf.Tensor3D>(values.x, [BATCH, sizes.patches, WIDTH]))
    const gates = tensorOf<tf.Tensor2D>(values.gates, [BATCH, 1])
    const answer = (kernel: tf.Tensor) =>
      sampleMixture(
        x,
        { chosen, gates },
        { kernel: kernel as tf.Tensor2D },
        { ...sizes, activation: 'cubic' },
        form,
      )
    const kernel = tensorOf(values.kernel, [WIDTH, COLUMNS])
    const finite = (answer(kernel).arraySync() as number[][]).map(row => row.every(Number.isFinite))
    expect(finite).toEqual([true, true, false, true, true, true, true])
    const clean = fixInput(tensorOf<tf.Tensor3D>(draw(BATCH * 3 * WIDTH, 1), [BATCH, 3, WIDTH]))
    const gradient = tf.grad((weights: tf.Tensor) =>
      sampleMixture(
        clean,
        { chosen, gates },
        { kernel: weights as tf.Tensor2D },
        { ...sizes, activation: 'cubic' },
        form,
      ),
    )(kernel)
    const perExpert = tf.sum(tf.abs(tf.reshape(gradient, [WIDTH, 4, -1])), [0, 2]).dataSync()
    expect(perExpert[2]).toBe(0)
    expect([0, 1, 3].every(expert => perExpert[expert]! > 0)).toBe(true)
  })

  it('leaves nothing behind', () => {
    const x = fixInput(tf.ones<tf.Rank.R3>([4, 3, WIDTH]))
    const kernel = tf.variable(tf.ones([WIDTH, COLUMNS]))
    const chosen = tf.tensor2d([[0], [3], [3], [1]], [4, 1], 'int32')
    const step = () =>
      tf.variableGrads(
        () =>
          tf.sum(
            sampleMixture(
              x,
              { chosen, gates: tf.ones([4, 1]) },
              { kernel: kernel as unknown as tf.Tensor2D },
              { ...sizes, activation: 'cubic' },
              form,
            ),
          ) as tf.Scalar,
        [kernel],
      )
    tf.dispose([step().value])
    const before = tf.memory().numTensors
    const { value, grads } = step()
    tf.dispose([value, grads])
    expect(tf.memory().numTensors).toBe(before)
    kernel.dispose()
  })
})

describe('mixtureForm', () => {
  const network = { experts: 8, outputs: 2, filtersPerOutput: 8, patches: 4, activation: 'cubic' } as const

  it('sorts where that saves much: large batches of many experts', () => {
    expect(mixtureForm(16000, 16000, 50, network)).toBe(128)
    expect(mixtureForm(2000, 2000, 50, network)).toBe(16)
    expect(mixtureForm(16, 16, 50, network)).toBe('all')
    expect(mixtureForm(1, 1, 50, { ...network, experts: 1000, outputs: 10, filtersPerOutput: 100 })).toBe(1)
  })

  it('computes all experts where every sample chooses them all, or there is one', () => {
    expect(mixtureForm(8 * 16000, 16000, 50, network)).toBe('all')
    expect(mixtureForm(16000, 16000, 50, { ...network, experts: 1 })).toBe('all')
  })
})
