import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import type { Backend, UsedBackend } from '../backend.js'
import { setBackend } from '../page/set-backend.js'
import { verifyCurrent } from '../verify.js'

/** WebAssembly, with the kernels of this library. */
export const wasm: Backend<'wasm'> = {
  names: ['wasm'],
  isAutomatic: true,
  use,
  async facts() {
    const { version_wasm: version, getThreadsCount } = await import('@tensorflow/tfjs-backend-wasm')
    return { version, threads: Math.max(1, getThreadsCount()) }
  },
  async verify() {
    await use()
    const { version_wasm: version } = await import('@tensorflow/tfjs-backend-wasm')
    return [await verifyCurrent('wasm', version)]
  },
}

async function use(): Promise<UsedBackend<'wasm'>> {
  const [package_, { registerWasmKernels }] = await Promise.all([
    import('@tensorflow/tfjs-backend-wasm'),
    import('../wasm/kernels.js'),
  ])
  const manifest = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm/package.json')
  package_.setWasmPaths(join(dirname(manifest), 'dist') + sep)
  await withoutNewCrashHandlers(() => setBackend('wasm'))
  registerWasmKernels()
  return {
    name: 'wasm',
    reason: 'native TensorFlow is not provided or does not load (npx pmoe doctor says which)',
  }
}

/** Removes the handlers by which the wasm module's runtime changes how Node reports a crash (exit code 7, other trace). */
async function withoutNewCrashHandlers(initialise: () => Promise<void>): Promise<void> {
  const events = ['uncaughtException', 'unhandledRejection']
  const before = events.map(event => process.listeners(event as 'uncaughtException'))
  await initialise()
  for (const [i, event] of events.entries()) {
    for (const listener of process.listeners(event as 'uncaughtException')) {
      if (!before[i]?.includes(listener)) process.off(event, listener)
    }
  }
}
