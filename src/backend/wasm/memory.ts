import type * as tf from '@tensorflow/tfjs-core'

/** What is used of the memory of tfjs's wasm module. Addresses are in bytes; 0 means that no memory is left. */
interface WasmMemory {
  _malloc(bytes: number): number
  _free(address: number): void
  readonly HEAPU8: Uint8Array
}

/** Bytes kept free: more than XNNPACK allocates between two tensors in pieces that can meet the fault below. */
const spare = 64 * 1024

/** Half of what 32 bits can address: beyond, the allocator's sums wrap. */
const largest = 2 ** 31

const guarded = new WeakSet<object>()

/**
 * Keeps 64 KiB free in the memory of a backend `wasm`, for the small aligned pieces that its XNNPACK takes when it meets
 * a convolution or a pool of a new size. The module's allocator (emmalloc) claims memory for such a piece without room for
 * its alignment: where nothing free fits, it can claim again and again, to the limit of 4 GiB, and what is computed after
 * that is wrong. A second call changes nothing.
 *
 * From then on, making a tensor that does not fit into memory throws, where tfjs would write to address 0.
 */
export function keepSpareMemory(backend: tf.KernelBackend): void {
  const { wasm } = backend as unknown as { wasm: WasmMemory }
  if (guarded.has(wasm)) return
  guarded.add(wasm)
  // At its first call, the module puts the allocator itself in the place of a function that only calls it.
  wasm._free(wasm._malloc(1))
  const allocate = wasm._malloc
  wasm._malloc = bytes => {
    const address = bytes <= largest ? allocate(bytes) >>> 0 : 0
    if (address === 0 || address + bytes > wasm.HEAPU8.length) {
      throw new Error(
        `wasm: a tensor must fit into the memory left, at most ${largest} bytes, got ${bytes} (use smaller batches, or the backend tensorflow)`,
      )
    }
    wasm._free(allocate(spare))
    return address
  }
}
