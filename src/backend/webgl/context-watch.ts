import * as tf from '@tensorflow/tfjs-core'
import { DeviceError, failureOf, markFailed } from '../device-error.js'

/** The parts of tfjs's WebGL backend by which everything that it computes goes. */
interface WatchedBackend {
  readonly gpgpu: { readonly gl: WebGL2RenderingContext; itemsToPoll: unknown[] }
  readonly texData: { get(dataId: object): { readonly shape: number[]; readonly dtype: tf.DataType } }
  read(dataId: object): Promise<unknown>
  readSync(dataId: object): unknown
  uploadToGPU(dataId: object): void
}

const watched = new WeakSet<object>()

/**
 * Makes every reading of a tensor reject once the context is lost or has no memory left, where tfjs waits for ever or hands out
 * zeros. A tensor that is larger than a texture can be is refused with its size.
 *
 * @param backend tfjs's WebGL backend; a second call changes nothing
 */
export function watchContext(backend: tf.KernelBackend): void {
  if (watched.has(backend)) return
  watched.add(backend)
  const gpu = backend as unknown as WatchedBackend
  const { gl } = gpu.gpgpu
  const loss = new Promise<never>((_, reject) => {
    const onLoss = (event: Event) => {
      markFailed(backend, lossOf((event as WebGLContextEvent).statusMessage))
      // tfjs would ask the lost context for ever whether it is done.
      gpu.gpgpu.itemsToPoll = []
      reject(failureOf(backend))
    }
    gl.canvas.addEventListener('webglcontextlost', onLoss, { once: true })
  })
  // It is raced below; where nothing is being read it concerns nobody.
  loss.catch(() => {})
  const { read, readSync, uploadToGPU } = bound(gpu)
  gpu.read = async dataId => {
    check(backend, gl)
    const values = await Promise.race([read(dataId), loss])
    check(backend, gl)
    return values
  }
  gpu.readSync = dataId => {
    const values = readSync(dataId)
    check(backend, gl)
    return values
  }
  gpu.uploadToGPU = dataId => {
    if (gl.isContextLost()) check(backend, gl)
    try {
      uploadToGPU(dataId)
    } catch (error) {
      const { shape, dtype } = gpu.texData.get(dataId)
      throw /^Requested texture size/.test((error as Error).message) ? tooLarge(shape, dtype) : error
    }
  }
}

function bound(gpu: WatchedBackend): Pick<WatchedBackend, 'read' | 'readSync' | 'uploadToGPU'> {
  return {
    read: gpu.read.bind(gpu),
    readSync: gpu.readSync.bind(gpu),
    uploadToGPU: gpu.uploadToGPU.bind(gpu),
  }
}

/** Throws what has failed, at the latest now. */
function check(backend: object, gl: WebGL2RenderingContext): void {
  const code = gl.getError()
  if (gl.isContextLost()) markFailed(backend, lossOf(''))
  if (code === gl.OUT_OF_MEMORY) {
    markFailed(
      backend,
      new DeviceError(
        'WebGL: memory of the device must suffice, got OUT_OF_MEMORY (numbers computed since are wrong; a smaller batch or image needs less)',
      ),
    )
  }
  const failure = failureOf(backend)
  if (failure) throw failure
}

function lossOf(message: string): DeviceError {
  return new DeviceError(
    `WebGL: context must stay there, got its loss${message ? `: ${message}` : ''} (training goes on from its last checkpoint, on a backend that is opened anew)`,
  )
}

function tooLarge(shape: readonly number[], dtype: tf.DataType): DeviceError {
  const side = tf.env().getNumber('WEBGL_MAX_TEXTURE_SIZE')
  const bytes = tf.util.sizeFromShape([...shape]) * tf.util.bytesPerElement(dtype)
  return new DeviceError(
    `WebGL: tensor must fit into textures of at most ${side}x${side} on this device, got ${bytes} bytes of shape [${shape.join(', ')}] (a smaller batch or image needs less)`,
  )
}
