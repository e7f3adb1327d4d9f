import { whyNotImported } from '../optional-package.js'
import { type Adapter, adapterOf, adapterText, type WebGpuAdapter } from '../webgpu/adapter.js'
import { registerWebGpuKernels } from '../webgpu/kernels.js'
import type { SelectableBackend, SelectedBackend, SkippedBackend } from './selection.js'
import { setBackend } from './set-backend.js'

export type WebGpuName = 'webgpu' | 'webgpu-software'

/** One that computes on the processor has a name of its own, since it is slower than wasm. */
export const webGpuNames: readonly WebGpuName[] = ['webgpu', 'webgpu-software']

/** `navigator.gpu`. */
export interface Gpu {
  requestAdapter(options?: object): Promise<WebGpuAdapter | null>
}

/** WebGPU of a browser. */
export const webgpu: SelectableBackend<WebGpuName, object> = {
  names: webGpuNames,
  isAutomatic: true,
  use(requested, _, skipped) {
    const { gpu } = navigator as Navigator & { readonly gpu?: Gpu }
    const whyNone = isSecureContext
      ? 'this browser has no WebGPU'
      : `a browser has WebGPU in secure pages alone, and ${location.origin} is none (https and localhost are)`
    // One that the processor stands in for is nobody's choice but the user's.
    return useWebGpu({ gpu, whyNone }, requested === 'auto' ? 'webgpu' : requested, skipped)
  },
  facts: async ({ adapter }) => webGpuFacts(adapter),
}

export function webGpuFacts(adapter: Adapter | undefined) {
  return adapter ? { device: adapterText(adapter), adapter } : {}
}

/**
 * Makes WebGPU the current backend, with the kernels of this library.
 *
 * @param gpu as the browser has it, or Dawn; `whyNone` says why there is none
 */
export async function useWebGpu(
  { gpu, whyNone }: { readonly gpu: Gpu | undefined; readonly whyNone: string },
  requested: WebGpuName | 'auto',
  skipped: SkippedBackend<WebGpuName>[],
): Promise<SelectedBackend<WebGpuName> | undefined> {
  const opened = await gpu?.requestAdapter({ powerPreference: 'high-performance' })
  const adapter = opened ? adapterOf(opened) : undefined
  const name = adapter && (adapter.isSoftware ? 'webgpu-software' : 'webgpu')
  for (const other of requested === 'auto' ? webGpuNames : [requested]) {
    if (other !== name) skipped.push({ name: other, why: gpu ? whyUnusable(adapter) : whyNone })
  }
  if (!adapter || !name || (requested !== 'auto' && requested !== name)) return undefined
  try {
    // It registers itself where it is imported after WebGPU is there.
    await import('@tensorflow/tfjs-backend-webgpu')
  } catch (error) {
    skipped.push({ name, why: whyNotImported('@tensorflow/tfjs-backend-webgpu', error) })
    return undefined
  }
  await setBackend('webgpu')
  registerWebGpuKernels()
  return { name, reason: 'this machine has WebGPU', remark: adapterText(adapter), adapter }
}

function whyUnusable(adapter: Adapter | undefined): string {
  if (!adapter) return 'WebGPU finds no adapter (on Linux: a driver of Vulkan and its loader, libvulkan1)'
  return adapter.isSoftware
    ? `the only adapter computes on the processor, ${adapterText(adapter)} (webgpu-software takes it)`
    : `the adapter is a GPU, ${adapterText(adapter)} (webgpu takes it)`
}
