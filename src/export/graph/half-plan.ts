import { type Constant, type Graph, isConstant, type Operation } from './graph.js'

/** What of a network is stored as float16, and what is not. */
export interface HalfPlan {
  /** The kernels that are. */
  readonly kernels: ReadonlySet<Constant['data']>
  /** The layers with kernels that stay float32, and why. */
  readonly float: readonly { readonly layer: string; readonly why: string }[]
}

/** Why the kernel of a router stays in float32. */
export const ROUTER = 'a router, whose choices must stay the same'

/** From here on numbers become infinite in float16. */
const INFINITE_HALF = 65520

/** Chooses which kernels of a graph are stored as float16: those of all products but routers, and tables of kernels. */
export function halfPlan(graph: Graph): HalfPlan {
  const kernels = new Set<Constant['data']>()
  const float: { layer: string; why: string }[] = []
  for (const { operation, name } of graph.nodes) {
    const kernel = kernelOf(operation)
    if (!kernel) continue
    const why = whyNotHalf(operation, kernel)
    if (why) float.push({ layer: name, why })
    else kernels.add(kernel.data)
  }
  return { kernels, float }
}

/** The kernel of a product, or those of all experts, from which samples choose. */
function kernelOf(operation: Operation): Constant | undefined {
  if ('kernel' in operation) return operation.kernel
  const numbers =
    operation.kind === 'batched-product'
      ? operation.matrices
      : operation.kind === 'gather'
        ? operation.table
        : undefined
  return numbers && isConstant(numbers) && numbers.data instanceof Float32Array ? numbers : undefined
}

function whyNotHalf(operation: Operation, { data }: Constant): string | undefined {
  if ('exact' in operation && operation.exact) return ROUTER
  const isTooLarge = (data as Float32Array).some(weight => !(Math.abs(weight) < INFINITE_HALF))
  return isTooLarge ? 'weights beyond 65504, the largest number of float16' : undefined
}
