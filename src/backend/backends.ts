import type { Backend } from './backend.js'
import { nativeTensorFlow } from './entries/tensorflow.js'
import { wasm } from './entries/wasm.js'
import { webgpu } from './entries/webgpu.js'
import { cpu } from './page/cpu.js'

/** Far slower than wasm, which is there as well: only used where it is asked for. */
const nodeCpu: Backend<'cpu'> = { ...cpu, isAutomatic: false }

/** Every backend, in the order in which `auto` tries them. A new one is one file of `entries` and one line here. */
export const backends = [nativeTensorFlow, wasm, webgpu, nodeCpu] as const

/** A backend that can be asked for by name. */
export type BackendName = (typeof backends)[number]['names'][number]

/** Every name, in the order of the table. */
export const backendNames: readonly BackendName[] = backends.flatMap(({ names }) => [...names])
