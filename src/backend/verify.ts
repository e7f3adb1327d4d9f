import { type OperationCheck, runCheck } from './checks/operation-check.js'
import { operationTable } from './checks/operation-table.js'
import { type OperationVerdict, operationVerdicts } from './checks/operation-verdict.js'
import type { NativeCandidate } from './native/native.js'
import { type NativeVerdict, verdictText } from './self-test/self-test.js'

/** How an operation is computed right: by the backend itself, in another way, with fewer instructions, or not at all. */
export type OperationState = 'right' | 'replaced' | 'right with fewer instructions' | 'refused' | 'wrong'

/** What verification shows of an operation in a precision. */
export interface VerifiedOperation {
  /** Name in tfjs, or in the op table of layers. */
  readonly operation: string
  readonly precision: 'float32' | 'bf16'
  /** How many sizes were checked. */
  readonly checked: number
  readonly state: OperationState
  /** The first size that was wrong as the backend itself computes it, and how. */
  readonly wrong?: string
}

/** How a backend computes on this machine, compared with plain arithmetic. */
export interface Verification {
  /** tfjs's name of it. */
  readonly backend: string
  /** Version of what computes. */
  readonly version: string
  /** Folder of the package, where it is not a dependency. */
  readonly folder?: string
  /** Whether every operation that it is used for is right. */
  readonly isUsable: boolean
  /** One line. */
  readonly verdict: string
  /** Instructions that oneDNN keeps to, where it may not use all. */
  readonly instructionSet?: string
  readonly operations: readonly VerifiedOperation[]
  readonly seconds: number
}

/** What a verdict of the self-test says of an installation. */
export function verificationOf({ folder }: NativeCandidate, verdict: NativeVerdict): Verification {
  const { version, isUsable, instructionSet, operations, seconds } = verdict
  return {
    backend: 'tensorflow',
    version,
    folder,
    isUsable,
    verdict: verdictText(verdict) ?? allRight(operations),
    ...(instructionSet !== undefined && { instructionSet }),
    operations: operations.map(one => verified(one, stateOf(one, verdict))),
    seconds,
  }
}

function stateOf({ operation, inBfloat16, wrong }: OperationVerdict, verdict: NativeVerdict): OperationState {
  if (wrong === undefined) return 'right'
  if (!verdict.isUsable) return 'wrong'
  if (inBfloat16 && !verdict.bfloat16) return 'refused'
  return verdict.avoided.includes(operation) ? 'replaced' : 'right with fewer instructions'
}

/**
 * Runs a table of operations on the current backend, in this process.
 *
 * @param backend tfjs's name of it
 * @param version of what computes
 * @param table checks; those in bfloat16, or of operations that the backend has not, are left out
 */
export async function verifyCurrent(
  backend: string,
  version: string,
  table: Iterable<OperationCheck> = operationTable(),
): Promise<Verification> {
  const startedAt = performance.now()
  const results = []
  for (const check of table) {
    if (!check.inBfloat16 && check.isThere()) results.push(await runCheck(check))
  }
  const operations = operationVerdicts(results)
  const wrong = operations.filter(one => one.wrong).map(({ operation }) => operation)
  return {
    backend,
    version,
    isUsable: wrong.length === 0,
    verdict:
      wrong.length === 0
        ? allRight(operations)
        : `${backend} must compute right on this machine, got wrong: ${wrong.join(', ')}`,
    operations: operations.map(one => verified(one, one.wrong === undefined ? 'right' : 'wrong')),
    seconds: (performance.now() - startedAt) / 1000,
  }
}

function verified({ operation, inBfloat16, checks, wrong }: OperationVerdict, state: OperationState) {
  return {
    operation,
    precision: inBfloat16 ? ('bf16' as const) : ('float32' as const),
    checked: checks,
    state,
    ...(wrong !== undefined && { wrong }),
  }
}

function allRight(operations: readonly OperationVerdict[]): string {
  const names = new Set(operations.map(({ operation }) => operation))
  const checks = operations.reduce((sum, one) => sum + one.checks, 0)
  return `all ${names.size} operations are right, at ${checks} sizes`
}
