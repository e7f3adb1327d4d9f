import { convolutionChecks } from './convolution-checks.js'
import type { OperationCheck } from './operation-check.js'
import { trainingChecks } from './training-checks.js'

/**
 * Every operation that training uses, at usual sizes and at those where backends have been wrong, always in the same
 * order.
 *
 * @param everyConvolution 1 checks all sizes of convolutions, 7 each seventh
 */
export function* operationTable(everyConvolution = 1): Generator<OperationCheck> {
  yield* trainingChecks()
  yield* convolutionChecks(everyConvolution)
}
