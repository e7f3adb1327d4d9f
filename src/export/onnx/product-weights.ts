import type { Constant, Value } from '../graph/graph.js'
import { quantizedBias, quantizedWeights, type Steps } from './quantization.js'
import type { OnnxWriter } from './writer.js'

/**
 * The names of a product's kernel and bias, of 8 and 32 bits where it is computed with numbers of 8 bits.
 *
 * @param order of the kernel's axes in the format; that of the graph unless given
 */
export function weightsOf(
  { x, kernel, bias }: { x: Value; kernel: Constant; bias?: Constant | undefined },
  output: Value,
  writer: OnnxWriter,
  order?: readonly number[],
): string[] {
  const [kernelName, biasName] = [`${output.name}_kernel`, `${output.name}_bias`]
  const steps = writer.steps(x, output)
  if (!steps) {
    const weights = writer.constant(kernel, kernelName, order)
    return bias ? [weights, writer.constant(bias, biasName)] : [weights]
  }
  const rounded = quantizedWeights(kernel, bias && { steps, bias })
  const weights = writer.roundedKernel(rounded, kernelName, order ?? kernel.shape.map((_, axis) => axis))
  if (!bias) return [weights]
  const { data, scales } = quantizedBias(bias, steps, rounded)
  return [weights, writer.roundedBias(data, scales, biasName)]
}

/**
 * The product of each expert's rows (B,K,P,C) by its matrix of (K,C,F), of numbers of 8 bits with a scale for each column: the
 * format has one list of scales a tensor, so that each expert is a product of its own.
 */
export function roundedProducts(
  x: Value,
  matrices: Constant,
  steps: Steps,
  y: Value,
  writer: OnnxWriter,
): string {
  const [experts = 1, rows = 1, columns = 1] = matrices.shape
  const size = rows * columns
  const parts = writer.roundedParts(writer.named(x), steps, `${y.name}_rows`, experts)
  const products = parts.map((part, k) => {
    const data = matrices.data.subarray(k * size, (k + 1) * size) as Float32Array
    const rounded = quantizedWeights({ data, shape: [rows, columns] })
    const weights = writer.roundedKernel(rounded, `${y.name}_matrix_${k}`, [0, 1])
    return writer.emit('MatMul', [part, weights], `${y.name}_product_${k}`)
  })
  return experts === 1 ? (products[0] as string) : writer.emit('Concat', products, y.name, { axis: 1 })
}
