import * as tf from '@tensorflow/tfjs-core'
import { DeviceError, failureOf, markFailed } from '../device-error.js'

/** The parts of a `GPUDevice` that are watched. */
export interface WatchedDevice {
  readonly limits: { readonly maxBufferSize: number; readonly maxStorageBufferBindingSize: number }
  /** Resolves when the device is lost. */
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>
  addEventListener(type: 'uncapturederror', listener: (event: { error: Error }) => void): void
}

/** The parts of tfjs's WebGPU backend by which everything that it computes goes. */
interface WatchedBackend {
  readonly device: WatchedDevice
  read(dataId: object): Promise<unknown>
  readSync(dataId: object): unknown
  uploadToGPU(dataId: object): void
  readonly tensorMap: {
    get(dataId: object): { readonly shape: number[]; readonly dtype: tf.DataType; readonly values?: unknown }
  }
}

const watched = new WeakSet<object>()

/**
 * Makes every reading of a tensor reject once the device has refused something or is lost. tfjs itself only logs it, and what
 * it then reads are zeros: of the work that was refused, and of all that was handed over with it. A tensor that is larger than
 * the device's buffers is refused before it is made.
 *
 * @param backend tfjs's WebGPU backend; a second call changes nothing
 */
export function watchDevice(backend: tf.KernelBackend): void {
  if (watched.has(backend)) return
  watched.add(backend)
  const gpu = backend as unknown as WatchedBackend
  const { device } = gpu
  device.addEventListener('uncapturederror', ({ error }) => markFailed(backend, refusal(error)))
  const loss = device.lost.then(({ reason, message }) => {
    const told = firstLine(message) || reason
    markFailed(
      backend,
      new DeviceError(
        `WebGPU: device must stay there, got its loss: ${told} (training goes on from its last checkpoint, on a backend that is opened anew)`,
      ),
    )
    throw failureOf(backend)
  })
  // It is raced below; where nothing is being read it concerns nobody.
  loss.catch(() => {})
  const read = gpu.read.bind(gpu)
  gpu.read = async dataId => {
    try {
      const values = await Promise.race([read(dataId), loss])
      throwFailure(backend)
      return values
    } catch (error) {
      // What a lost device answers comes before the news of its loss.
      await Promise.resolve()
      throwFailure(backend)
      throw error
    }
  }
  const readSync = gpu.readSync.bind(gpu)
  gpu.readSync = dataId => {
    throwFailure(backend)
    const { shape, values } = gpu.tensorMap.get(dataId)
    // tfjs reads by way of a canvas, which is there in pages alone.
    if (typeof OffscreenCanvas === 'undefined' && values == null) {
      throw new Error(
        `WebGPU: numbers must be read by \`await tensor.data()\` before dataSync() or another backend uses them, got a tensor of shape [${shape.join(', ')}] that was not`,
      )
    }
    return readSync(dataId)
  }
  const upload = gpu.uploadToGPU.bind(gpu)
  gpu.uploadToGPU = dataId => {
    throwFailure(backend)
    checkSize(gpu, dataId)
    upload(dataId)
  }
}

function throwFailure(backend: object): void {
  const failure = failureOf(backend)
  if (failure) throw failure
}

function checkSize({ device, tensorMap }: WatchedBackend, dataId: object): void {
  const { shape, dtype } = tensorMap.get(dataId)
  const bytes = tf.util.sizeFromShape(shape) * tf.util.bytesPerElement(dtype)
  const most = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize)
  if (bytes <= most) return
  throw new DeviceError(
    `WebGPU: tensor must have at most ${most} bytes on this device, got ${bytes} of shape [${shape.join(', ')}] (a smaller batch or image needs less)`,
  )
}

/** What a device refused: for want of memory, or the compiler's own line where a shader does not compile, else the first line. */
function refusal(error: Error): DeviceError {
  const { message } = error
  return new DeviceError(
    error.constructor.name === 'GPUOutOfMemoryError'
      ? `WebGPU: memory of the device must suffice, got ${firstLine(message)} (numbers computed since are wrong; a smaller batch or image needs less)`
      : `WebGPU: device must accept what it is given, got ${/error: .*/.exec(message)?.[0] ?? firstLine(message)} (numbers computed since are wrong)`,
  )
}

function firstLine(message: string): string {
  return message.trim().split('\n')[0] as string
}
