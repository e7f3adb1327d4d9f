import { registerWasmKernels } from '../wasm/kernels.js'
import type { SelectableBackend } from './selection.js'
import { openBackend, setBackend } from './set-backend.js'

/** Where WebAssembly's files are, and with how many threads it computes. */
export interface WasmOptions {
  /**
   * Address of the folder of tfjs's three `.wasm` files, with its slash, or the address of each; beside the page's script unless
   * given. Only what is said before its first use holds.
   */
  readonly wasmPaths?: string | Record<string, string>
  /**
   * Threads of WebAssembly, from 1; more than one only in a page that is cross-origin isolated. Half of the processors unless given.
   * Only what is said before its first use holds.
   */
  readonly threads?: number
}

/** WebAssembly, with the kernels of this library. */
export const wasm: SelectableBackend<'wasm', WasmOptions> = {
  names: ['wasm'],
  isAutomatic: true,
  async use(_, { wasmPaths, threads }) {
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1))
      throw new RangeError(`useBackend: threads must be an integer from 1, got ${threads}`)
    const package_ = await import('@tensorflow/tfjs-backend-wasm')
    const wasOpen = openBackend('wasm') !== undefined
    if (!wasOpen && wasmPaths !== undefined) package_.setWasmPaths(wasmPaths)
    if (!wasOpen && threads !== undefined) package_.setThreadsCount(threads)
    await setBackend('wasm', 'wasmPaths says where the .wasm files of @tensorflow/tfjs-backend-wasm are')
    registerWasmKernels()
    const computing = Math.max(1, package_.getThreadsCount())
    return {
      name: 'wasm',
      reason: 'neither WebGPU nor WebGL computes on a GPU here',
      remark: threadsText(computing, threads, wasOpen),
    }
  },
  async facts() {
    const { version_wasm: version, getThreadsCount } = await import('@tensorflow/tfjs-backend-wasm')
    return { version, threads: Math.max(1, getThreadsCount()) }
  },
}

function threadsText(computing: number, asked: number | undefined, wasOpen: boolean): string {
  const text = `${computing} ${computing === 1 ? 'thread' : 'threads'}`
  if (!globalThis.crossOriginIsolated && asked !== 1)
    return `${text}, since the page is not cross-origin isolated`
  if (asked === undefined || asked === computing) return text
  return `${text} in the place of ${asked}, since ${wasOpen ? 'it was opened before' : 'it takes no more here'}`
}
