import * as tf from '@tensorflow/tfjs-core'
import type { StoredTensor } from '../data/safetensors.js'

/**
 * Copies a tensor to memory.
 *
 * @param tensor float32 or int32
 * @throws TypeError for another dtype
 */
export async function storeTensor(tensor: tf.Tensor): Promise<StoredTensor> {
  const { dtype, shape } = tensor
  // Copies: backends may hand out their own memory, which the next step writes to.
  if (dtype === 'float32') return { dtype: 'F32', shape, data: (await tensor.data<'float32'>()).slice() }
  if (dtype === 'int32') return { dtype: 'I32', shape, data: (await tensor.data<'int32'>()).slice() }
  throw new TypeError(`storeTensor: dtype must be float32 or int32, got ${dtype}`)
}

/**
 * Uploads a stored tensor.
 *
 * @throws TypeError when it is neither F32 nor I32
 */
export function restoreTensor({ dtype, shape, data }: StoredTensor): tf.Tensor {
  // A copy: backends may keep the array itself as the tensor's memory.
  if (dtype === 'F32') return tf.tensor(data.slice(), [...shape], 'float32')
  if (dtype === 'I32') return tf.tensor(data.slice(), [...shape], 'int32')
  throw new TypeError(`restoreTensor: dtype must be F32 or I32, got ${dtype}`)
}
