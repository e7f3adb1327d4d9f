import * as tf from '@tensorflow/tfjs-core'
import { isFixed } from '../fixed-inputs.js'
import { handGradient } from '../hand-gradient.js'
import { gatherRows } from './dispatch.js'
import {
  type BankGradients,
  type BankSizes,
  type BankWeights,
  bankGradients,
  bankSums,
} from './filter-banks.js'
import {
  blockCount,
  type ChoiceBlocks,
  choicesInBlocks,
  choicesOfBlocks,
  samplesInBlocks,
  sortChoices,
} from './sample-blocks.js'
import { oneHot } from './sample-routing.js'

/*
 * Letters: B samples of P patches with d numbers each, E experts, k of them chosen by each sample, q outputs of J filters
 * each.
 */

/** What experts compute: a bank of filters each. */
export interface SampleExpertSizes extends BankSizes {
  /** E. */
  readonly experts: number
}

/** Weights of the experts, side by side: filter j of output o of expert m stands at (m q + o) J + j. */
export interface SampleExpertWeights {
  /** (d, E q J). */
  readonly kernel: tf.Tensor2D
  /** (E q J). */
  readonly bias?: tf.Tensor1D | undefined
}

/** What each sample chose. */
export interface Choices {
  /** (B,k) int32. */
  readonly chosen: tf.Tensor2D
  /** (B,k) float32. */
  readonly gates: tf.Tensor2D
}

/**
 * How the experts are computed; the results are the same to rounding.
 * - `all`: every expert on every sample, as one product
 * - a number S: choices sorted by expert, in blocks of S
 */
export type MixtureForm = 'all' | number

/**
 * A mixture of experts that samples choose, as one operation with a gradient written by hand: the sum over the chosen
 * experts of gate times output. Differentiable by x, gates and weights.
 *
 * @param x (B,P,d) float32
 * @param form as {@link mixtureForm} chooses unless given
 * @returns (B,q)
 */
export function sampleMixture(
  x: tf.Tensor3D,
  { chosen, gates }: Choices,
  weights: SampleExpertWeights,
  sizes: SampleExpertSizes,
  form: MixtureForm = mixtureForm(chosen.size, x.shape[0], x.shape[2], sizes),
): tf.Tensor2D {
  const { kernel, bias } = weights
  const needsInputGradient = !isFixed(x)
  const inputs = [...(needsInputGradient ? [x] : []), gates, kernel, ...(bias ? [bias] : [])]
  return handGradient(inputs, () => {
    const compute = form === 'all' ? allExperts : sortedByExpert(form)
    const pass = compute.forward(x, chosen, weights, sizes) // outputs (B,k,q)
    return {
      value: tf.sum(tf.mul(pass.outputs, tf.expandDims(gates, 2)), 1),
      saved: [x, chosen, gates, kernel, pass.outputs, ...pass.saved],
      gradient: (dy, [input, choice, gate, filters, outputs, ...saved]) => {
        const dWeighted = tf.expandDims(dy, 1)
        const dGates = tf.sum(tf.mul(outputs as tf.Tensor3D, dWeighted), 2)
        const dOutputs: tf.Tensor3D = tf.mul(tf.expandDims(gate as tf.Tensor2D, 2), dWeighted)
        const byExperts = compute.gradient(
          dOutputs,
          input as tf.Tensor3D,
          choice as tf.Tensor2D,
          filters as tf.Tensor2D,
          saved,
          sizes,
        )
        return [
          ...(needsInputGradient ? [byExperts.dx()] : []),
          dGates,
          byExperts.dKernel(),
          ...(bias ? [byExperts.dBias()] : []),
        ]
      },
    }
  })
}

/** Multiply-adds that sorting must save to be worth its gathers. */
const WORTH_SORTING = 2 ** 22
/** Places of a block at most: more make it fuller at no gain. */
const LARGEST_BLOCK = 128

/**
 * Chooses the form of a mixture by its size.
 *
 * @param choices B k
 * @param samples B
 * @param width d
 */
export function mixtureForm(
  choices: number,
  samples: number,
  width: number,
  { experts, patches, outputs, filtersPerOutput }: SampleExpertSizes,
): MixtureForm {
  // Blocks of at most an eighth of an expert's mean number of choices, so that few places stay empty.
  const wanted = 2 ** Math.floor(Math.log2(choices / (8 * experts)))
  const size = Math.min(Math.max(wanted, 1), LARGEST_BLOCK)
  const saved = samples * experts - blockCount(choices, experts, size) * size
  return saved * patches * width * outputs * filtersPerOutput > WORTH_SORTING ? size : 'all'
}

/** Derivatives by what a form takes. */
interface FormGradients {
  /** (B,P,d). */
  dx(): tf.Tensor3D
  /** (d, E q J). */
  dKernel(): tf.Tensor2D
  /** (E q J). */
  dBias(): tf.Tensor1D
}

interface Form {
  /** The outputs of the chosen experts, (B,k,q), and what the gradient needs besides. */
  forward(
    x: tf.Tensor3D,
    chosen: tf.Tensor2D,
    weights: SampleExpertWeights,
    sizes: SampleExpertSizes,
  ): { readonly outputs: tf.Tensor3D; readonly saved: readonly tf.Tensor[] }
  /** @param saved as `forward` returned them */
  gradient(
    dOutputs: tf.Tensor3D,
    x: tf.Tensor3D,
    chosen: tf.Tensor2D,
    kernel: tf.Tensor2D,
    saved: readonly tf.Tensor[],
    sizes: SampleExpertSizes,
  ): FormGradients
}

/** One bank of all experts' filters, of whose outputs those of the chosen experts are taken. */
const allExperts: Form = {
  forward(x, chosen, { kernel, bias }, sizes) {
    const [batch, count] = chosen.shape
    const { experts, outputs } = sizes
    const weights: BankWeights = {
      kernel: tf.expandDims(kernel, 0),
      bias: bias && tf.reshape(bias, [1, 1, -1]),
    }
    const { sums, linear } = bankSums(asOneBank(x), weights, oneBank(sizes))
    const firstRows = tf.mul(tf.range(0, batch, 1, 'int32'), tf.scalar(experts, 'int32'))
    const rows = tf.add(tf.expandDims(firstRows, 1), chosen)
    // Taken, not multiplied by 0 or 1: an output that nobody chose may be infinite.
    const taken = gatherRows(tf.reshape(sums, [batch * experts, outputs]), rows)
    return { outputs: tf.reshape(taken, [batch, count, outputs]), saved: [linear] }
  },

  gradient(dOutputs, x, chosen, kernel, [linear], sizes) {
    const [batch] = chosen.shape
    const spread = tf.matMul(oneHot(chosen, sizes.experts), dOutputs, true, false) // (B,E,q)
    const byBank = bankGradients(
      tf.reshape(spread, [1, batch, -1]),
      asOneBank(x),
      linear as tf.Tensor3D,
      tf.expandDims(kernel, 0),
      oneBank(sizes),
    )
    return {
      dx: () => tf.reshape(byBank.dx(), x.shape),
      dKernel: () => tf.reshape(byBank.kernel, kernel.shape),
      dBias: () => tf.reshape(byBank.bias(), [-1]),
    }
  },
}

function oneBank(sizes: SampleExpertSizes): BankSizes {
  return { ...sizes, outputs: sizes.outputs * sizes.experts }
}

function asOneBank(x: tf.Tensor3D): tf.Tensor3D {
  return tf.reshape(x, [1, -1, x.shape[2]])
}

/** A bank for each block of choices of one expert. */
function sortedByExpert(size: number): Form {
  return {
    forward(x, chosen, { kernel, bias }, sizes) {
      const [batch, count] = chosen.shape
      const blocks = sortChoices(chosen, sizes.experts, size)
      const weights: BankWeights = {
        kernel: weightsOfBlocks(kernel, blocks, sizes),
        bias: bias && weightsOfBlocks(tf.expandDims(bias, 0), blocks, sizes),
      }
      const patches = patchesInBlocks(x, blocks, count)
      const { sums, linear } = bankSums(patches, weights, sizes)
      const outputs = choicesOfBlocks(tf.reshape(sums, [-1, sizes.outputs]), blocks)
      return {
        outputs: tf.reshape(outputs, [batch, count, sizes.outputs]),
        saved: [linear, patches, weights.kernel, blocks.places, blocks.choices, blocks.experts],
      }
    },

    gradient(dOutputs, x, chosen, _kernel, saved, sizes) {
      const [linear, patches, filters, places, choices, experts] = saved as [
        tf.Tensor3D,
        tf.Tensor3D,
        tf.Tensor3D,
        tf.Tensor1D,
        tf.Tensor1D,
        tf.Tensor1D,
      ]
      const [batch, count] = chosen.shape
      const blocks: ChoiceBlocks = { size, count: experts.size, places, choices, experts }
      const dSums = choicesInBlocks(tf.reshape(dOutputs, [batch * count, -1]), blocks)
      const byBanks: BankGradients = bankGradients(
        tf.reshape(dSums, [blocks.count, size, -1]),
        patches,
        linear,
        filters,
        sizes,
      )
      return {
        dx: () => {
          const perChoice = choicesOfBlocks(tf.reshape(byBanks.dx(), [blocks.count * size, -1]), blocks)
          if (count === 1) return tf.reshape(perChoice, x.shape)
          return tf.reshape(tf.sum(tf.reshape(perChoice, [batch, count, -1]), 1), x.shape)
        },
        dKernel: () => sumOfBlocks(byBanks.kernel, blocks, sizes),
        dBias: () => tf.reshape(sumOfBlocks(byBanks.bias(), blocks, sizes), [-1]),
      }
    },
  }
}

/** (B,P,d) -> (G, S P, d). */
function patchesInBlocks(x: tf.Tensor3D, blocks: ChoiceBlocks, perSample: number): tf.Tensor3D {
  const [batch, , width] = x.shape
  const rows = samplesInBlocks(tf.reshape(x, [batch, -1]), blocks, perSample)
  return tf.reshape(rows, [blocks.count, -1, width])
}

/** (d, E q J) -> (G, d, q J). */
function weightsOfBlocks(
  weights: tf.Tensor2D,
  { count, experts }: ChoiceBlocks,
  sizes: SampleExpertSizes,
): tf.Tensor3D {
  const [rows] = weights.shape
  const perExpert = tf.transpose(tf.reshape(weights, [rows, sizes.experts, -1]), [1, 0, 2])
  const ofBlocks = gatherRows(tf.reshape(perExpert, [sizes.experts, -1]), experts)
  return tf.reshape(ofBlocks, [count, rows, -1])
}

/** (G, d, q J) -> (d, E q J): the derivatives of each expert's blocks, summed. */
function sumOfBlocks(
  gradients: tf.Tensor3D,
  { experts }: ChoiceBlocks,
  sizes: SampleExpertSizes,
): tf.Tensor2D {
  const [count, rows, columns] = gradients.shape
  const ofExpert = tf.reshape(oneHot(tf.expandDims(experts, 1), sizes.experts), [count, sizes.experts])
  const sums = tf.matMul(
    ofExpert as tf.Tensor2D,
    tf.reshape(gradients, [count, rows * columns]) as tf.Tensor2D,
    true,
    false,
  )
  const perExpert = tf.reshape(sums, [sizes.experts, rows, columns])
  return tf.reshape(tf.transpose(perExpert, [1, 0, 2]), [rows, sizes.experts * columns])
}
