import * as tf from '@tensorflow/tfjs-core'
import { multipliesBfloat16, vectorFlags } from './processor.js'
import { type Precision, setPrecision } from './tensorflow-precision.js'

export { PRECISIONS, type Precision } from './tensorflow-precision.js'

/** What computes, as far as bfloat16 depends on it. */
export interface ComputeDevice {
  /** tfjs's name of the backend. */
  readonly backend: string
  readonly gpu: boolean
  /** Vector instructions of the processor. */
  readonly flags: readonly string[]
}

/**
 * Has the current backend compute convolutions and matrix products in this precision. `bf16` is for training on native
 * TensorFlow: products and feature maps in bfloat16, everything else (weights, statistics, loss, optimizer) in float32.
 *
 * @throws Error for bf16 on another backend, on a GPU, or on a processor that does not multiply bfloat16
 */
export function usePrecision(precision: Precision): void {
  if (precision === 'bf16') checkBfloat16(currentDevice())
  setPrecision(precision)
}

/**
 * Checks that bf16 can be used.
 *
 * @throws Error saying what is missing
 */
export function checkBfloat16({ backend, gpu, flags }: ComputeDevice): void {
  if (backend !== 'tensorflow') throw refusal(`native TensorFlow, got backend ${backend}`)
  if (gpu) throw refusal('native TensorFlow on a CPU, got a GPU')
  if (multipliesBfloat16(flags)) return
  const found = flags.length === 0 ? 'none that are known' : flags.join(' ')
  throw refusal(`a processor with avx512_bf16, amx_bf16 or bf16, got ${found}`)
}

function currentDevice(): ComputeDevice {
  const backend = tf.backend() as unknown as { readonly isUsingGpuDevice?: boolean }
  return { backend: tf.getBackend(), gpu: backend.isUsingGpuDevice === true, flags: vectorFlags() }
}

function refusal(rule: string): Error {
  return new Error(`usePrecision: bf16 must have ${rule} (float32 runs everywhere)`)
}
