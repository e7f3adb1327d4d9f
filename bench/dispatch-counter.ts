/** What a device was given to do. */
export interface Dispatches {
  /** Calls of `dispatchWorkgroups` by the label of their pipeline, the name of the kernel's program in tfjs. */
  readonly byKernel: ReadonlyMap<string, number>
  /** Calls of `GPUQueue.submit`. */
  readonly submits: number
}

/** The parts of WebGPU's classes that are counted at. */
interface CountedPass {
  setPipeline(pipeline: { readonly label: string }): void
  dispatchWorkgroups(...counts: number[]): void
}

interface CountedQueue {
  submit(buffers: unknown[]): void
}

/** WebGPU's classes, which Dawn puts among the global names. */
interface WebGpuClasses {
  readonly GPUComputePassEncoder: { readonly prototype: CountedPass }
  readonly GPUQueue: { readonly prototype: CountedQueue }
}

/**
 * Counts what is dispatched and submitted while something runs, whatever hands it over: at WebGPU's own methods.
 *
 * @param work what is counted; WebGPU must be there
 */
export async function countDispatches(work: () => Promise<unknown>): Promise<Dispatches> {
  const { GPUComputePassEncoder, GPUQueue } = globalThis as unknown as WebGpuClasses
  const [pass, queue] = [GPUComputePassEncoder.prototype, GPUQueue.prototype]
  const { setPipeline, dispatchWorkgroups } = pass
  const { submit } = queue
  const byKernel = new Map<string, number>()
  let label = ''
  let submits = 0
  pass.setPipeline = function (pipeline) {
    label = pipeline.label
    setPipeline.call(this, pipeline)
  }
  pass.dispatchWorkgroups = function (...counts) {
    byKernel.set(label, (byKernel.get(label) ?? 0) + 1)
    dispatchWorkgroups.apply(this, counts)
  }
  queue.submit = function (buffers) {
    submits++
    submit.call(this, buffers)
  }
  try {
    await work()
  } finally {
    Object.assign(pass, { setPipeline, dispatchWorkgroups })
    queue.submit = submit
  }
  return { byKernel, submits }
}

/** All dispatches, whatever kernel they are of. */
export function totalOf({ byKernel }: Dispatches): number {
  return [...byKernel.values()].reduce((sum, count) => sum + count, 0)
}
