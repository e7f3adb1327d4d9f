import { whyNotImported } from '../optional-package.js'
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
  async use(_, options, skipped) {
    const { threads } = options
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1))
      throw new RangeError(`useBackend: threads must be an integer from 1, got ${threads}`)
    const wasOpen = openBackend('wasm') !== undefined
    try {
      const computing = await open(options, wasOpen)
      registerWasmKernels()
      return {
        name: 'wasm',
        reason: 'neither WebGPU nor WebGL computes on a GPU here',
        remark: threadsText(computing, threads, wasOpen),
      }
    } catch (error) {
      skipped.push({ name: 'wasm', why: whyNotOpened(error as Error) })
      return undefined
    }
  },
  async facts() {
    const { version_wasm: version, getThreadsCount } = await import('@tensorflow/tfjs-backend-wasm')
    return { version, threads: Math.max(1, getThreadsCount()) }
  },
}

/** Opens it and tells with how many threads it computes. */
async function open({ wasmPaths, threads }: WasmOptions, wasOpen: boolean): Promise<number> {
  const { setWasmPaths, setThreadsCount, getThreadsCount } = await import('@tensorflow/tfjs-backend-wasm')
  if (!wasOpen && wasmPaths !== undefined) setWasmPaths(wasmPaths)
  if (!wasOpen && threads !== undefined) setThreadsCount(threads)
  await setBackend('wasm')
  return Math.max(1, getThreadsCount())
}

function whyNotOpened({ message }: Error): string {
  if (message.startsWith('Failed to resolve'))
    return whyNotImported('@tensorflow/tfjs-backend-wasm', new Error(message))
  return /^The WASM backend was already/.test(message)
    ? 'it did not start before; the page has to be loaded again'
    : 'it does not start (wasmPaths says where the .wasm files of @tensorflow/tfjs-backend-wasm are)'
}

function threadsText(computing: number, asked: number | undefined, wasOpen: boolean): string {
  const text = `${computing} ${computing === 1 ? 'thread' : 'threads'}`
  if (!globalThis.crossOriginIsolated && asked !== 1)
    return `${text}, since the page is not cross-origin isolated`
  if (asked === undefined || asked === computing) return text
  return `${text} in the place of ${asked}, since ${wasOpen ? 'it was opened before' : 'tfjs takes half of the processors at most, and four'}`
}
