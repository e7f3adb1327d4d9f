import { cpu } from './cpu.js'
import { type Choice, chooseBackend } from './selection.js'
import { type WasmOptions, wasm } from './wasm.js'
import { webgl } from './webgl.js'
import { webgpu } from './webgpu.js'

/** Every backend of a page, in the order in which `auto` tries them. */
const pageBackends = [webgpu, webgl, wasm, cpu] as const

/** A backend that a page can ask for by name. */
export type PageBackendName = (typeof pageBackends)[number]['names'][number]

/** The backend that now computes in a page, and why this one. */
export type PageBackendChoice = Choice<PageBackendName>

/**
 * Makes a backend the current one of tfjs in a page or a worker of one: the one that is asked for, or for `auto` the first of
 * WebGPU and WebGL where a GPU computes, WebAssembly and plain JavaScript. The kernels that training needs are registered, and what
 * a device refuses, or its loss, rejects whatever is computed with it; a second call after that opens the device anew, without the
 * tensors that were on it. Its package is imported, so that a page without a bundler has to name it in its import map
 * (`@tensorflow/tfjs-backend-webgpu`, `-webgl`, `-wasm` or `-cpu`).
 *
 * A device that the processor stands in for is used under a name of its own alone: `webgpu-software`, `webgl-software`; so is
 * `webgl-float16`, whose textures are too coarse to train with. In Node the function of the same name of `patch-moe/node` does this.
 *
 * @throws RangeError for an unknown name; Error outside of pages, and when the backend that is asked for cannot be used, saying why
 */
export async function useBackend(
  name: PageBackendName | 'auto' = 'auto',
  options: WasmOptions = {},
): Promise<PageBackendChoice> {
  if (!isPage())
    throw new Error('useBackend: it must be imported from patch-moe/node outside of pages, got patch-moe')
  return chooseBackend<PageBackendName, WasmOptions>(name, options, pageBackends)
}

function isPage(): boolean {
  return 'document' in globalThis || ('importScripts' in globalThis && 'location' in globalThis)
}
