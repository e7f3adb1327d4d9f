import * as tf from '@tensorflow/tfjs-core'
import { useBackend } from '../../../src/backend/choose.js'
import { forInference } from '../../../src/inference/for-inference.js'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { predictProbabilities } from '../../../src/train/evaluate.js'
import { train } from '../../../src/train/loop.js'
import { brightQuarters } from './layer-cases.js'

/*
 * Trains a model on WebGPU in software, goes on with it on WebAssembly and plain JavaScript and back, and prints, as JSON, what it
 * says of images wherever it is, and what tensors say that were left on the device.
 */
const images = brightQuarters(8, [8, 8, 1])
const optimizer = { name: 'momentum', learningRate: 0.1 } as const

await useBackend('webgpu-software')
const model = twoLayerPatchModel({
  ...{ inputShape: [8, 8, 1], numClasses: 4, patchSize: 4, seed: 1 },
  ...{ numExperts: 2, patchesPerExpert: 2, hiddenUnits: 4 },
})
const steps = async () => {
  for await (const _ of train(model, { train: images, epochs: 1, batchSize: 4, seed: 1, optimizer })) {
    // Trains.
  }
}
const answers = async () =>
  (await predictProbabilities(model, images.images, images.shape)).flatMap(row => [...row])

await steps()
const trainedOnDevice = await answers()
const left = tf.add(tf.ones([2000]), 1)
const variable = tf.variable(tf.add(tf.ones([2000]), 2))
const frozen = await forInference(model)
const [onDevice] = frozen.predict(tf.ones([1, 8, 8, 1]))
await useBackend('wasm')
const onWasm = await answers()
let told = ''
try {
  tf.add(left, 1)
} catch (error) {
  told = String(error)
}
const [moved] = await tf.add(variable, 1).data()
const [there, again] = [await (onDevice as tf.Tensor).data(), await left.data()]
await steps()
const trainedOnWasm = await answers()
await useBackend('cpu')
const onCpu = await answers()
await useBackend('webgpu-software')
const backOnDevice = await answers()
await steps()
const after = await answers()
console.log(
  JSON.stringify({
    ...{ trainedOnDevice, onWasm, trainedOnWasm, onCpu, backOnDevice, after },
    ...{ told, frozen: [...there], left: again[0], moved },
  }),
)
