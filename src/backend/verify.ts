import { runCheck } from './checks/operation-check.js'
import { operationTable } from './checks/operation-table.js'
import { type OperationVerdict, operationVerdicts } from './checks/operation-verdict.js'
import { type UseBackendOptions, useBackend } from './choose.js'
import { findNative, type NativeCandidate, whyUnusable } from './native/native.js'
import { type NativeVerdict, selfTest, verdictText } from './self-test/self-test.js'

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

/** How a backend computes on this machine, held against plain arithmetic. */
export interface Verification {
  readonly backend: 'tensorflow' | 'wasm'
  /** Version of what computes. */
  readonly version: string
  /** Folder of the package, where it is not a dependency. */
  readonly folder?: string
  /** Whether everything is right that it is used for. */
  readonly isUsable: boolean
  /** One line. */
  readonly verdict: string
  /** Instructions that oneDNN keeps to, where it may not use all. */
  readonly instructionSet?: string
  readonly operations: readonly VerifiedOperation[]
  readonly seconds: number
}

/**
 * Checks every operation that training uses on each installed native TensorFlow, whatever verdict is stored, and on wasm; the
 * current backend is wasm afterwards.
 *
 * @param verify checks an installation; the self-test unless given
 */
export async function verifyBackends({
  cwd,
  provided,
  verify = candidate => selfTest(candidate, { again: true }),
}: UseBackendOptions = {}): Promise<Verification[]> {
  const verifications: Verification[] = []
  for (const candidate of findNative(cwd, provided)) {
    const verdict = whyUnusable(candidate) ? undefined : await verify(candidate)
    if (verdict) verifications.push(verificationOf(candidate, verdict))
  }
  return [...verifications, await verifyWasm()]
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

/** Runs the table on wasm, in this process. */
async function verifyWasm(): Promise<Verification> {
  await useBackend('wasm')
  const { version_wasm: version } = await import('@tensorflow/tfjs-backend-wasm')
  const began = performance.now()
  const results = []
  for (const check of operationTable()) {
    if (!check.inBfloat16 && check.isThere()) results.push(await runCheck(check))
  }
  const operations = operationVerdicts(results)
  const wrong = operations.filter(one => one.wrong).map(({ operation }) => operation)
  return {
    backend: 'wasm',
    version,
    isUsable: wrong.length === 0,
    verdict:
      wrong.length === 0
        ? allRight(operations)
        : `wasm must compute right on this machine, got wrong: ${wrong.join(', ')}`,
    operations: operations.map(one => verified(one, one.wrong === undefined ? 'right' : 'wrong')),
    seconds: (performance.now() - began) / 1000,
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
