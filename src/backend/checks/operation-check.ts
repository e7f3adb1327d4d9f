import * as tf from '@tensorflow/tfjs-core'
import { random } from '../../random.js'

/** One operation at one size, and what it has to return by plain arithmetic. Tensors are made as it runs. */
export interface OperationCheck {
  /** Name of the operation, in tfjs or in the op table of layers; it is replaced when this check fails. */
  readonly operation: string
  /** The sizes in words, unique among the checks of the operation. */
  readonly sizes: string
  /** Computed in bfloat16 on native TensorFlow. */
  readonly inBfloat16: boolean
  /** Whether the current backend has the operation; where it has not, there is nothing to check. */
  readonly isThere: () => boolean
  /** How often it is computed: damaged memory shows only after tens of calls. */
  readonly repeats: number
  /** On the current backend; within `tf.tidy`. */
  compute(): tf.Tensor[]
  /** In the order and layout of `compute`; NaN where NaN is right. */
  expected(): readonly ArrayLike<number>[]
}

/** The result of a check. */
export interface CheckResult {
  readonly operation: string
  readonly sizes: string
  readonly inBfloat16: boolean
  /** What is wrong, such as `0.31 in the place of 0.75, number 4 of 9 of output 1`. */
  readonly wrong?: string
}

/** Largest error allowed, relative to expected values above 1. Factors have few bits, so that float32 sums are exact. */
const TOLERANCE = { float32: 1e-3, bfloat16: 0.03 }

/**
 * Computes an operation on the current backend, as often as its check says, and compares every result.
 *
 * @param compute runs the check in its precision
 */
export async function runCheck(
  check: OperationCheck,
  compute: (check: OperationCheck) => tf.Tensor[] = one => one.compute(),
): Promise<CheckResult> {
  const { operation, sizes, inBfloat16 } = check
  const result = { operation, sizes, inBfloat16 }
  try {
    const expected = check.expected()
    for (let time = 0; time < check.repeats; time++) {
      const outputs = await computed(() => compute(check))
      const wrong = difference(outputs, expected, inBfloat16 ? TOLERANCE.bfloat16 : TOLERANCE.float32)
      if (wrong) return { ...result, wrong }
    }
    return result
  } catch (error) {
    return { ...result, wrong: `it ends with ${(error as Error).message.split('\n')[0]}` }
  }
}

/** Whether the current backend has a kernel of tfjs. */
export function hasKernel(name: string): boolean {
  return tf.getKernel(name, tf.getBackend()) !== undefined
}

async function computed(compute: () => tf.Tensor[]): Promise<ArrayLike<number>[]> {
  const tensors = tf.tidy(compute)
  try {
    return await Promise.all(tensors.map(tensor => tensor.data()))
  } finally {
    tf.dispose(tensors)
  }
}

function difference(
  outputs: readonly ArrayLike<number>[],
  expected: readonly ArrayLike<number>[],
  tolerance: number,
): string | undefined {
  for (const [outputIndex, expectedNumbers] of expected.entries()) {
    const output = outputs[outputIndex]
    if (output?.length !== expectedNumbers.length)
      return `${output?.length ?? 'no'} numbers in the place of ${expectedNumbers.length}, output ${outputIndex + 1}`
    for (let at = 0; at < expectedNumbers.length; at++) {
      const [got, want] = [output[at] as number, expectedNumbers[at] as number]
      if (Object.is(got, want) || Math.abs(got - want) <= tolerance * Math.max(1, Math.abs(want))) continue
      return `${Number(got.toPrecision(4))} in the place of ${Number(want.toPrecision(4))}, number ${at + 1} of ${expectedNumbers.length} of output ${outputIndex + 1}`
    }
  }
  return undefined
}

/** Random multiples of 1/8 in [-1, 1]: exact in bfloat16, and so are their products in float32. */
export function drawEighths(count: number, seed: number): Float32Array {
  const numbers = random(seed, 'operation check')
  return Float32Array.from({ length: count }, () => (numbers.below(17) - 8) / 8)
}

/** Numbers as a float32 tensor. */
export function tensorOf<T extends tf.Tensor>(values: ArrayLike<number>, shape: readonly number[]): T {
  return tf.tensor(Float32Array.from(values), [...shape], 'float32') as T
}

/** Computes a value once, when it is first needed. */
export function once<T>(compute: () => T): () => T {
  let value: { readonly of: T } | undefined
  return () => {
    value ??= { of: compute() }
    return value.of
  }
}

/** A check that is computed three times. */
export function check(
  operation: string,
  sizes: string,
  compute: OperationCheck['compute'],
  expected: OperationCheck['expected'],
  inBfloat16 = false,
  isThere: () => boolean = () => true,
): OperationCheck {
  return { operation, sizes, inBfloat16, isThere, repeats: 3, compute, expected }
}
