import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, expect, test, vi } from 'vitest'
import type { Backend } from '../../../src/backend/backend.js'
import { useBackend } from '../../../src/backend/choose.js'
import { DeviceError } from '../../../src/backend/device-error.js'
import { diagnoseBackends } from '../../../src/backend/doctor.js'
import { wasm } from '../../../src/backend/entries/wasm.js'
import { webgpu } from '../../../src/backend/entries/webgpu.js'
import { watchDevice } from '../../../src/backend/webgpu/device-watch.js'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { type CheckpointStore, readCheckpoint } from '../../../src/train/checkpoint.js'
import { predictProbabilities } from '../../../src/train/evaluate.js'
import { train } from '../../../src/train/loop.js'
import { brightQuarters } from './layer-cases.js'

interface Device {
  destroy(): void
  createShaderModule(options: { readonly code: string }): unknown
  readonly limits: { readonly maxStorageBufferBindingSize: number }
}

interface Adapter {
  requestDevice(): Promise<Device>
}

beforeAll(async () => {
  await useBackend('webgpu', { webgpu: ['backend=null'] })
})

/** tfjs's backend on a device of its own, watched, and a tensor on that device. */
async function ownBackend() {
  const { WebGPUBackend } = await import('@tensorflow/tfjs-backend-webgpu')
  const { gpu } = navigator as unknown as { gpu: { requestAdapter(): Promise<Adapter> } }
  const device = await (await gpu.requestAdapter()).requestDevice()
  const backend = new WebGPUBackend(device as never)
  watchDevice(backend)
  watchDevice(backend)
  const written = backend.write(new Float32Array([1, 2]), [2], 'float32')
  backend.uploadToGPU(written)
  return { device, read: () => backend.read(written), backend }
}

test('the diagnosis has the limits of the device', async () => {
  const { limits } = (tf.backend() as unknown as { device: Device }).device as Device
  const { backends } = await diagnoseBackends<string>({}, [wasm, webgpu] as readonly Backend[] as never)
  await useBackend('webgpu')
  const found = backends.find(({ name }) => name === 'webgpu')
  expect(found).toMatchObject({ available: true, version: '4.22.0', device: 'null-backend' })
  expect(found?.adapter).toMatchObject({ name: 'null-backend', isSoftware: false, float16: true })
  expect(found?.adapter?.limits).toMatchObject({
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    maxComputeWorkgroupSizeX: 256,
    maxComputeWorkgroupStorageSize: 16384,
  })
  expect(Object.values(found?.adapter?.limits ?? {}).filter(Number.isNaN)).toEqual([])
})

test('numbers of the device are not read at once', async () => {
  const sum = tf.add(tf.ones([2000]), 1)
  expect(() => sum.dataSync()).toThrow(
    'WebGPU: numbers must be read by `await tensor.data()` before dataSync() or another backend uses them, got a tensor of shape [2000] that was not',
  )
  await sum.data()
  expect(sum.dataSync()).toHaveLength(2000)
})

test('a tensor larger than the buffers of the device is named, and nothing is lost', async () => {
  const { limits } = (tf.backend() as unknown as { device: Device }).device as Device
  const most = limits.maxStorageBufferBindingSize
  const side = most / 4 / 1024 + 1
  const row = tf.zeros([1, 1024])
  expect(() => tf.tile(tf.add(row, tf.ones([1024])), [side, 1])).toThrow(
    new DeviceError(
      `WebGPU: tensor must have at most ${most} bytes on this device, got ${most + 4096} of shape [${side}, 1024] (a smaller batch or image needs less)`,
    ),
  )
  expect(await tf.add(row, 1).data()).toHaveLength(1024)
})

test('the loss of the device rejects what is read from it', async () => {
  const { device, read } = await ownBackend()
  device.destroy()
  await expect(read()).rejects.toThrow(/^WebGPU: device must stay there, got its loss: .*opened anew\)$/)
})

test('a shader that does not compile rejects what is read afterwards, with the message of the compiler', async () => {
  const { device, read, backend } = await ownBackend()
  device.createShaderModule({ code: 'fn main() { let x : i32 = 1.5; }' })
  await expect(read()).rejects.toThrow(/^WebGPU: device must accept what it is given, got error: .*i32/)
  const other = backend.write(new Float32Array([3]), [1], 'float32')
  await expect(backend.read(other)).rejects.toThrow(DeviceError)
})

test('training and prediction end with the refusal, and the last checkpoint is whole', async () => {
  const model = twoLayerPatchModel({
    inputShape: [8, 8, 1],
    numClasses: 4,
    patchSize: 4,
    numExperts: 2,
    patchesPerExpert: 2,
    hiddenUnits: 4,
  })
  const images = brightQuarters(8, [8, 8, 1])
  let stored: Uint8Array | undefined
  const checkpoints: CheckpointStore = {
    read: async () => stored,
    write: async (_, bytes) => {
      stored = bytes
    },
  }
  const { device } = tf.backend() as unknown as { device: Device }
  const readOnes = onesRead()
  const optimizer = { name: 'sgd', learningRate: 0.1 } as const
  const run = async () => {
    const options = { train: images, epochs: 3, batchSize: 4, seed: 1, optimizer, checkpoints }
    for await (const event of train(model, options)) {
      if (event.type === 'step' && event.epoch === 2)
        device.createShaderModule({ code: 'fn main() { nonsense }' })
    }
  }
  await expect(run()).rejects.toThrow(DeviceError)
  await expect(predictProbabilities(model, images.images, images.shape)).rejects.toThrow(DeviceError)
  const { history } = readCheckpoint(stored as Uint8Array, 'the last')
  expect(history.map(({ epoch }) => epoch)).toEqual([1])
  readOnes.mockRestore()
})

/** What the null device computes is whatever its memory holds, which training takes for divergence where it is not finite. */
function onesRead() {
  const backend = tf.backend() as unknown as { read(id: object): Promise<Float32Array> }
  const read = backend.read.bind(backend)
  return vi.spyOn(backend, 'read').mockImplementation(async id => (await read(id)).fill(1))
}

test('want of memory is named, and useBackend opens the device anew', async () => {
  await useBackend('webgpu')
  expect(await tf.add(tf.ones([1000]), 1).data()).toHaveLength(1000)
  const row = tf.ones([1, 1024])
  const fill = async () => {
    // The null device has some hundreds of megabytes.
    for (let i = 0; i < 64; i++) await tf.slice(tf.tile(row, [2 ** 15 - 1, 1]), [0, 0], [1, 1]).data()
  }
  const message =
    'WebGPU: memory of the device must suffice, got Out of memory. (numbers computed since are wrong; a smaller batch or image needs less)'
  await expect(fill()).rejects.toThrow(new DeviceError(message))
  expect(() => tf.add(row, 1)).toThrow(new DeviceError(message))
  const failed = tf.backend()
  await useBackend('webgpu')
  expect(tf.backend()).not.toBe(failed)
  expect(await tf.add(tf.ones([1000]), 1).data()).toHaveLength(1000)
  // What was on the device that failed can still be disposed.
  row.dispose()
})
