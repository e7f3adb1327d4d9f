import * as tf from '@tensorflow/tfjs'
import '@tensorflow/tfjs-backend-webgpu'
import { registerWebGpuKernels } from '../../src/backend/webgpu/kernels.js'
import { forInference } from '../../src/inference/for-inference.js'
// Registers the layers of this package.
import '../../src/layers/moe/patch-moe.js'

/** What one backend of a page makes of a model that it loads: the backend that computed, and its answers. */
export async function answersOf(backend: string, model: string, image: number[], shape: number[]) {
  await tf.setBackend(backend)
  if (backend === 'webgpu') registerWebGpuKernels()
  const network = await tf.loadLayersModel(model)
  const x = tf.tensor(image, [1, ...shape])
  const layers = [...(await (network.predict(x) as tf.Tensor).data())]
  const frozen = await forInference(network)
  const [output] = frozen.predict(x)
  return { backend: tf.getBackend(), layers, frozen: [...(await (output as tf.Tensor).data())] }
}

Object.assign(globalThis, { answersOf })
