import type { NativeCandidate, NativeTensorFlow } from './native/native.js'
import type { NativeTrial } from './native/trial.js'
import type { NativeVerdict } from './self-test/self-test.js'
import type { Verification } from './verify.js'

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

/** A backend, or one installation of it, that could not be used. */
export interface SkippedBackend<Name extends string = string> {
  readonly name: Name
  readonly why: string
}

/** A backend that is the current one of tfjs now. */
export interface UsedBackend<Name extends string = string> {
  readonly name: Name
  /** Why `auto` takes it; one sentence, without its full stop. */
  readonly reason: string
  /** What users should know about how it computes; part of a sentence. */
  readonly remark?: string | undefined
  /** The installation, where the backend is native TensorFlow. */
  readonly tensorflow?: NativeTensorFlow
}

/** Version, threads or device, and folder of the current backend. */
export interface BackendFacts {
  /** Version of the TensorFlow library, or of the npm package. */
  readonly version?: string
  readonly threads?: number
  /** What computes, where it is not the processor's threads. */
  readonly device?: string
  /** Folder of the package, where it is not a dependency. */
  readonly folder?: string
}

/** What advice depends on. */
export interface BackendAdvice {
  /** What `auto` chooses. */
  readonly chosen: string
  readonly hasNvidiaDriver: boolean
}

/** One backend that this library knows to use from Node: how it is loaded, described and checked. */
export interface Backend<Name extends string = string> {
  /** Its names: one for each kind of device that it computes on, the fastest first. */
  readonly names: readonly Name[]
  /** Whether `auto` may choose it: `auto` takes the first such backend of the table that can be used. */
  readonly isAutomatic: boolean
  /** The command that installs it under a name, where there is one. */
  providedBy?(name: Name): string
  /**
   * Makes it the current backend of tfjs, with the kernels that training needs, or is faster with.
   *
   * @param requested one of its names, or `auto` for the first of them that can be used
   * @param skipped gets what was tried and why it could not be used
   * @returns undefined where it cannot be used
   * @throws Error where it should be usable and is not
   */
  use(
    requested: Name | 'auto',
    options: UseBackendOptions,
    skipped: SkippedBackend<Name>[],
  ): Promise<UsedBackend<Name> | undefined>
  /** Version, threads or device, and folder, once it is the current backend. */
  facts(used: UsedBackend<Name>, options: UseBackendOptions): Promise<BackendFacts>
  /** What to do so that it, or a faster kind of it, is chosen; most useful first. */
  advice?(machine: BackendAdvice): readonly string[]
  /**
   * Compares every operation that training uses with plain arithmetic, on each of its installations; left out where there
   * is nothing to check. Afterwards it may be the current backend.
   */
  verify?(options: UseBackendOptions): Promise<Verification[]>
}
