import type { CheckResult } from './operation-check.js'

/** What the checks of an operation have shown. */
export interface OperationVerdict {
  readonly operation: string
  readonly inBfloat16: boolean
  /** How many sizes were checked; 0 for a step that is no operation, such as loading. */
  readonly checks: number
  /** The first size that was wrong as the backend itself computes it, and how. */
  readonly wrong?: string | undefined
}

/**
 * The verdict on each operation, in the order in which they were first checked; a size counts once, however often it
 * was run.
 */
export function operationVerdicts(results: readonly CheckResult[]): OperationVerdict[] {
  return oneOfEach(results).map(({ operation, inBfloat16 }) => {
    const ownResults = results.filter(one => one.operation === operation && one.inBfloat16 === inBfloat16)
    const firstWrong = ownResults.find(one => one.wrong)
    return {
      operation,
      inBfloat16,
      checks: new Set(ownResults.map(({ sizes }) => sizes).filter(sizes => sizes !== '')).size,
      ...(firstWrong && { wrong: [firstWrong.sizes, firstWrong.wrong].filter(Boolean).join(': ') }),
    }
  })
}

/** One result of each operation and precision. */
export function oneOfEach(results: readonly CheckResult[]): CheckResult[] {
  return [...new Map(results.map(one => [`${one.operation} ${one.inBfloat16}`, one])).values()]
}
