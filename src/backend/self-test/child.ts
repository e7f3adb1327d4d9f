import { writeSync } from 'node:fs'
import * as tf from '@tensorflow/tfjs-core'
import { type OperationCheck, runCheck } from '../checks/operation-check.js'
import { operationTable } from '../checks/operation-table.js'
import { loadNative, type NativeCandidate } from '../native/native.js'
import { registerTensorFlowKernels } from '../tensorflow/kernels.js'
import { setPrecision } from '../tensorflow/precision.js'
import { endWithParent } from './parent-watch.js'

/** The task of the process that checks an installation. */
export interface SelfTestOrder {
  /** Id of the process that asks; the one that checks ends with it. */
  readonly parent: number
  readonly candidate: NativeCandidate
  /** Operations that are computed in another way; see `registerTensorFlowKernels`. */
  readonly avoided: readonly string[]
  /** Whether operations in bfloat16 are checked. */
  readonly bfloat16: boolean
  /** Checks these only, in these precisions. */
  readonly only?: readonly { readonly operation: string; readonly inBfloat16: boolean }[]
}

/** What a test of the self-test changes. */
export interface SelfTestParts {
  /** Is called between the loading of TensorFlow and the registration of kernels. */
  readonly whenLoaded?: () => void
  readonly table?: Iterable<OperationCheck>
}

/** What the process prints, one report a line. Each check is named before it runs, so it is known if the process dies. */
export type SelfTestReport =
  | { readonly kind: 'loaded'; readonly version: string }
  | {
      readonly kind: 'start'
      readonly operation: string
      readonly sizes: string
      readonly inBfloat16: boolean
    }
  | { readonly kind: 'wrong'; readonly wrong: string }
  | { readonly kind: 'churn' }
  | { readonly kind: 'done' }

/**
 * Loads native TensorFlow and runs the table of operations on it.
 *
 * @throws Error when it does not load
 */
export async function runSelfTest(
  order: SelfTestOrder,
  { whenLoaded, table = operationTable() }: SelfTestParts = {},
): Promise<void> {
  endWithParent(order.parent)
  const { version } = loadNative(order.candidate)
  await tf.setBackend('tensorflow')
  whenLoaded?.()
  registerTensorFlowKernels(new Set(order.avoided))
  tell({ kind: 'loaded', version })
  for (const check of table) {
    if (!isRequested(check, order)) continue
    setPrecision(check.inBfloat16 ? 'bf16' : 'float32')
    const { operation, sizes, inBfloat16 } = check
    if (!check.isThere()) continue
    tell({ kind: 'start', operation, sizes, inBfloat16 })
    const { wrong } = await runCheck(check)
    if (wrong) tell({ kind: 'wrong', wrong })
  }
  tell({ kind: 'churn' })
  await useMemory()
  tell({ kind: 'done' })
}

function isRequested({ operation, inBfloat16 }: OperationCheck, { bfloat16, only }: SelfTestOrder): boolean {
  if (only) return only.some(one => one.operation === operation && one.inBfloat16 === inBfloat16)
  return bfloat16 || !inBfloat16
}

/** Allocates and frees tensors of many sizes: if the memory of the allocator is damaged, the process dies here. */
async function useMemory(): Promise<void> {
  for (let round = 0; round < 1500; round++) {
    const piece = tf.tidy(() => tf.add(tf.zeros([1 + (round % 97), 7]), 1))
    await piece.data()
    piece.dispose()
  }
}

function tell(report: SelfTestReport): void {
  // Written synchronously, since the process may die in the next operation.
  writeSync(1, `${JSON.stringify(report)}\n`)
}
