import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { ImageShape, Size2D } from '../../shapes.js'

/** What is used of libjpeg-turbo's TurboJPEG interface, compiled to WebAssembly. Pointers are byte offsets. */
interface TurboJpeg {
  readonly memory: WebAssembly.Memory
  malloc(bytes: number): number
  free(pointer: number): void
  tjInitDecompress(): number
  /** Returns 0 when done; another number where the file is damaged. Decodes at the largest scale that fits the size. */
  tjDecompress2(
    decompressor: number,
    jpeg: number,
    jpegBytes: number,
    pixels: number,
    width: number,
    stride: number,
    height: number,
    pixelFormat: number,
    flags: number,
  ): number
}

/** Decodes JPEG files at once, in the calling thread. */
export interface JpegDecoder {
  /**
   * @param bytes of the file
   * @param size height and width of the whole image over 1, 2, 4 or 8, rounded up
   * @param channels 1 (grey) or 3 (RGB)
   * @returns pixels 0..255, (size, channels), in memory that the next call overwrites; undefined where the file is
   *   damaged or of a kind that it does not know
   */
  decode(bytes: Uint8Array, size: Size2D, channels: 1 | 3): Uint8Array | undefined
}

const packageFile = '@cwasm/jpeg-turbo/jpeg-turbo.wasm'
/** TJPF_GRAY and TJPF_RGB. */
const pixelFormats = { 1: 6, 3: 0 } as const

/** The two blocks of memory for the file and for its pixels: where they start, and their lengths in bytes. */
interface Blocks {
  readonly jpeg: number
  readonly jpegBytes: number
  readonly pixels: number
  readonly pixelBytes: number
}

/**
 * Loads libjpeg-turbo as WebAssembly.
 *
 * @param resolve finds the file of the package
 * @returns undefined where the package is not there, as in a bundle
 */
export async function loadJpegDecoder(
  resolve: (name: string) => string = name => import.meta.resolve(name),
): Promise<JpegDecoder | undefined> {
  const code = await Promise.resolve()
    .then(() => readFile(fileURLToPath(resolve(packageFile))))
    .catch(() => undefined)
  if (!code) return undefined
  return decoderOf(await WebAssembly.compile(new Uint8Array(code)))
}

function decoderOf(module: WebAssembly.Module): JpegDecoder {
  let session: Session | undefined
  return {
    decode(bytes, size, channels) {
      session ??= new Session(module)
      try {
        return session.decode(bytes, [size[0], size[1], channels])
      } catch {
        // The library stopped in the middle and its memory is unusable: the next image gets a new instance.
        session = undefined
        return undefined
      }
    },
  }
}

/** One instance of the library with its memory. */
class Session {
  readonly #library: TurboJpeg
  readonly #decompressor: number
  #blocks: Blocks

  constructor(module: WebAssembly.Module) {
    const { exports } = new WebAssembly.Instance(module, imports)
    this.#library = exports as unknown as TurboJpeg
    this.#decompressor = this.#library.tjInitDecompress()
    this.#blocks = this.#allocate(2 ** 16, 2 ** 18)
  }

  decode(bytes: Uint8Array, [height, width, channels]: ImageShape): Uint8Array | undefined {
    const length = height * width * channels
    this.#reserve(bytes.length, length)
    const { jpeg, pixels } = this.#blocks
    new Uint8Array(this.#library.memory.buffer).set(bytes, jpeg)
    const errorCode = this.#library.tjDecompress2(
      this.#decompressor,
      jpeg,
      bytes.length,
      pixels,
      width,
      width * channels,
      height,
      pixelFormats[channels as 1 | 3],
      0,
    )
    // The memory may have grown and moved.
    return errorCode ? undefined : new Uint8Array(this.#library.memory.buffer, pixels, length)
  }

  #reserve(jpegBytes: number, pixelBytes: number): void {
    const { jpegBytes: jpegHeld, pixelBytes: pixelsHeld, jpeg, pixels } = this.#blocks
    if (jpegBytes <= jpegHeld && pixelBytes <= pixelsHeld) return
    this.#library.free(jpeg)
    this.#library.free(pixels)
    this.#blocks = this.#allocate(Math.max(jpegBytes, jpegHeld), Math.max(pixelBytes, pixelsHeld))
  }

  #allocate(jpegBytes: number, pixelBytes: number): Blocks {
    return {
      jpeg: this.#library.malloc(jpegBytes),
      jpegBytes,
      pixels: this.#library.malloc(pixelBytes),
      pixelBytes,
    }
  }
}

/**
 * The imports of the compiled library: stubs, since decoding in memory needs no files; `longjmp` is called on errors.
 */
const imports: WebAssembly.Imports = {
  env: {
    setjmp: () => 0,
    longjmp: () => {
      throw new Error('libjpeg-turbo gave up on this file')
    },
  },
  wasi_snapshot_preview1: {
    environ_sizes_get: () => 0,
    environ_get: () => 0,
    proc_exit: () => 0,
    fd_close: () => 0,
    fd_seek: () => 0,
    fd_write: () => 0,
  },
}
