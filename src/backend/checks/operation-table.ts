import { convolutionChecks } from './convolution-checks.js'
import type { OperationCheck } from './operation-check.js'
import { trainingChecks } from './training-checks.js'

/** Every operation that training uses, at the sizes at which backends have been wrong and at usual ones; in one order. */
export function* operationTable(): Generator<OperationCheck> {
  yield* trainingChecks()
  yield* convolutionChecks()
}
