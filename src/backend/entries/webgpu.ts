import { createRequire } from 'node:module'
import type { Backend, SkippedBackend, UseBackendOptions, UsedBackend } from '../backend.js'
import { type AdapterFacts, provideWebGpu } from '../dawn.js'
import { ifInstalled } from '../optional-package.js'
import { verifyCurrent } from '../verify.js'
import { registerWebGpuKernels } from '../webgpu/kernels.js'
import { setBackend } from './set-backend.js'

type WebGpuName = 'webgpu' | 'webgpu-software'

/**
 * The GPU of any vendor through WebGPU, which Dawn brings to Node. An adapter that computes on the processor has a name of its own, since
 * it is slower than wasm. `auto` takes neither: nobody has timed them on a card.
 */
export const webgpu: Backend<WebGpuName> = {
  names: ['webgpu', 'webgpu-software'],
  isAutomatic: false,
  providedBy: () => 'npm install webgpu@0.6 @tensorflow/tfjs-backend-webgpu@4.22',
  use,
  facts: async ({ remark }) => ({ version: installedVersion(), device: remark as string }),
  async verify(options) {
    const used = await use('auto', options, [])
    return used ? [await verifyCurrent(used.name, installedVersion())] : []
  },
}

async function use(
  requested: WebGpuName | 'auto',
  { webgpu: options }: UseBackendOptions,
  skipped: SkippedBackend<WebGpuName>[],
): Promise<UsedBackend<WebGpuName> | undefined> {
  const gpu = await provideWebGpu(options)
  const adapter = (await gpu?.requestAdapter({ powerPreference: 'high-performance' }))?.info
  const name = adapter && (adapter.isFallbackAdapter ? 'webgpu-software' : 'webgpu')
  for (const other of requested === 'auto' ? webgpu.names : [requested]) {
    if (other !== name) skipped.push({ name: other, why: whyUnusable(gpu !== undefined, adapter) })
  }
  if (!adapter || !name || (requested !== 'auto' && requested !== name)) return undefined
  // It registers itself where it is imported after WebGPU is there.
  if (!(await ifInstalled(() => import('@tensorflow/tfjs-backend-webgpu')))) {
    skipped.push({ name, why: 'the npm package @tensorflow/tfjs-backend-webgpu is not installed' })
    return undefined
  }
  await setBackend('webgpu')
  registerWebGpuKernels()
  return { name, reason: 'it was asked for', remark: adapterText(adapter) }
}

function whyUnusable(isInstalled: boolean, adapter: AdapterFacts | undefined): string {
  if (!isInstalled) return 'the npm package webgpu is not installed'
  if (!adapter) return 'WebGPU finds no adapter (on Linux: a driver of Vulkan and its loader, libvulkan1)'
  return adapter.isFallbackAdapter
    ? `the only adapter computes on the processor, ${adapterText(adapter)} (webgpu-software takes it)`
    : `the adapter is a GPU, ${adapterText(adapter)} (webgpu takes it)`
}

function installedVersion(): string {
  const require = createRequire(import.meta.url)
  const manifest = require('@tensorflow/tfjs-backend-webgpu/package.json') as { readonly version: string }
  return manifest.version
}

function adapterText({ vendor, architecture, device, description }: AdapterFacts): string {
  return (
    description || [vendor, architecture, device].filter(Boolean).join(' ') || 'an adapter without a name'
  )
}
