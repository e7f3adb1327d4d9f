import type { NativeCandidate, NativeTensorFlow } from './native/native.js'
import type { NativeTrial } from './native/trial.js'
import type { SelectableBackend, SelectedBackend } from './page/selection.js'
import type { NativeVerdict } from './self-test/self-test.js'
import type { Verification } from './verify.js'

export type { BackendFacts, SkippedBackend } from './page/selection.js'

/** Where to look for native TensorFlow, and how WebGPU is opened. */
export interface UseBackendOptions {
  /** Folder of the user's project; the current folder unless given. */
  readonly cwd?: string
  /** The folder that `pmoe native` fills; see `nativeFolder`. */
  readonly provided?: string
  /** Checks an installation before it is loaded, undefined where there is no verdict. The self-test unless given. */
  readonly verify?: (candidate: NativeCandidate) => Promise<NativeVerdict | undefined>
  /** Whether this process may use a GPU of NVIDIA's: else builds for it are tried last. Looked for unless given. */
  readonly hasNvidiaDriver?: boolean
  /** Finds out, in a process of its own, which GPU an installation takes, or why none; only where this is to be said. */
  readonly gpuTrial?: (candidate: NativeCandidate) => Promise<NativeTrial>
  /** Options of Dawn, which brings WebGPU to Node, such as `backend=vulkan`; those of its first use in a process hold. */
  readonly webgpu?: readonly string[]
}

/** A backend that is the current one of tfjs now. */
export interface UsedBackend<Name extends string = string> extends SelectedBackend<Name> {
  /** The installation, where the backend is native TensorFlow. */
  readonly tensorflow?: NativeTensorFlow
}

/** What advice depends on. */
export interface BackendAdvice {
  /** What `auto` chooses. */
  readonly chosen: string
  readonly hasNvidiaDriver: boolean
}

/** One backend that this library knows to use from Node: how it is loaded, described and checked. */
export interface Backend<Name extends string = string>
  extends SelectableBackend<Name, UseBackendOptions, UsedBackend<Name>> {
  /** What to do so that it, or a faster kind of it, is chosen; most useful first. */
  advice?(machine: BackendAdvice): readonly string[]
  /**
   * Compares every operation that training uses with plain arithmetic, on each of its installations; left out where there
   * is nothing to check. Afterwards it may be the current backend.
   */
  verify?(options: UseBackendOptions): Promise<Verification[]>
}
