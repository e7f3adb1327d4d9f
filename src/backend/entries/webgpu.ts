import { createRequire } from 'node:module'
import type { Backend } from '../backend.js'
import { operationTable } from '../checks/operation-table.js'
import { provideWebGpu } from '../dawn.js'
import { useWebGpu, type WebGpuName, webGpuFacts, webGpuNames } from '../page/webgpu.js'
import { verifyCurrent } from '../verify.js'

/** A GPU compiles a program for most sizes: a second for each on a processor, which all of them would make 10 minutes. */
const EVERY_CONVOLUTION = 7

/**
 * The GPU of any vendor through WebGPU, which Dawn brings to Node; from there on all is as in a page. `auto` takes none: nobody has
 * timed them on a card.
 */
export const webgpu: Backend<WebGpuName> = {
  names: webGpuNames,
  isAutomatic: false,
  providedBy: () => 'npm install webgpu@0.6 @tensorflow/tfjs-backend-webgpu@4.22',
  async use(requested, { webgpu: options }, skipped) {
    const gpu = await provideWebGpu(options)
    return useWebGpu({ gpu, whyNone: 'the npm package webgpu is not installed' }, requested, skipped)
  },
  facts: async ({ adapter }) => ({ version: installedVersion(), ...webGpuFacts(adapter) }),
  async verify(options) {
    const used = await webgpu.use('auto', options, [])
    return used ? [await verifyCurrent(used.name, installedVersion(), operationTable(EVERY_CONVOLUTION))] : []
  },
}

function installedVersion(): string {
  const require = createRequire(import.meta.url)
  const manifest = require('@tensorflow/tfjs-backend-webgpu/package.json') as { readonly version: string }
  return manifest.version
}
