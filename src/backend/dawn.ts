import { ifInstalled } from './optional-package.js'
import type { Gpu } from './page/webgpu.js'

/**
 * Gives Node the WebGPU of browsers, by the npm package `webgpu` (Dawn), where tfjs looks for it: `navigator.gpu` and the global
 * names.
 *
 * @param options Dawn's own, such as `backend=vulkan`; without effect where WebGPU is there already
 * @returns undefined where the package is not installed
 */
export async function provideWebGpu(options: readonly string[] = []): Promise<Gpu | undefined> {
  const navigator = globalThis.navigator as (Navigator & { readonly gpu?: Gpu }) | undefined
  if (navigator?.gpu) return navigator.gpu
  const dawn = await ifInstalled(async () => (await import('webgpu')) as unknown as Dawn)
  if (!dawn) return undefined
  const gpu = dawn.create([...options])
  Object.assign(globalThis, dawn.globals)
  // Node has a navigator from version 21 on.
  if (!navigator) Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true })
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true })
  return gpu
}

interface Dawn {
  create(options: string[]): Gpu
  readonly globals: object
}
