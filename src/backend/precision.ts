import * as tf from '@tensorflow/tfjs-core'
import { multipliesBfloat16, vectorFlags } from './native/processor.js'
import { type Precision, setPrecision, trustsBfloat16 } from './tensorflow/precision.js'

export { PRECISIONS, type Precision } from './tensorflow/precision.js'

/** The backend and the processor, as far as bfloat16 depends on them. */
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
 * @throws Error for bf16 on another backend, on a GPU, on a processor that does not multiply bfloat16, or where the
 *   self-test found it wrong
 */
export function usePrecision(precision: Precision): void {
  if (precision === 'bf16') {
    checkBfloat16(currentDevice())
    if (!trustsBfloat16())
      throw refusal(
        'a TensorFlow that is right in bfloat16 here, got wrong numbers (npx pmoe doctor --verify)',
      )
  }
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
  const available = flags.length === 0 ? 'none that are known' : flags.join(' ')
  throw refusal(`a processor with avx512_bf16, amx_bf16 or bf16, got ${available}`)
}

function currentDevice(): ComputeDevice {
  const backend = tf.backend() as unknown as { readonly isUsingGpuDevice?: boolean }
  return { backend: tf.getBackend(), gpu: backend.isUsingGpuDevice === true, flags: vectorFlags() }
}

function refusal(requirement: string): Error {
  return new Error(`usePrecision: bf16 must have ${requirement} (float32 runs everywhere)`)
}
