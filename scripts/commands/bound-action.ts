import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { openRun } from '../../src/run/run-folder.js'
import { mixturesOf } from '../../src/theory/mixtures.js'
import { withoutAugmentation } from '../run/augmentation/asked-augmentation.js'
import { boundJson, boundText } from '../run/bound-report.js'
import { measureBound } from '../run/measured-bound.js'
import { refuseRouted } from '../run/opened-model.js'
import { loadData } from '../run/run-data.js'
import { loadTrained } from '../run/trained-model.js'
import { dataPath } from '../terminal/data-path.js'

/** The flags of `pmoe bound`. */
export interface BoundRequest {
  readonly delta: number
  readonly margin: number
  readonly data?: string
  readonly backend?: BackendName | 'auto'
  readonly json?: boolean
}

/** Evaluates the generalisation bound of a run's mixtures and writes it beside the measured losses. */
export async function runBound(directory: string, request: BoundRequest): Promise<void> {
  const run = await openRun(directory)
  const { config } = run
  refuseRouted(run, 'bound: the bound must be of a mixture in a network of whole images')
  const backend = await useBackend(request.backend ?? 'auto')
  const model = await loadTrained(run)
  if (mixturesOf(model).length === 0) {
    throw new Error(
      `${directory}: the model must have a mixture of experts, got ${config.model.name} without one`,
    )
  }
  const { delta, margin } = request
  // The losses and norms are those of the images themselves.
  const plain = withoutAugmentation(config.dataset)
  const dataset = request.data === undefined ? plain : { ...plain, data: dataPath(request.data) }
  const measured = await measureBound(model, await loadData(dataset, config.seed), { delta, margin })
  const judged = { directory, model: config.model.name, backend: backend.name, delta, margin, measured }
  process.stdout.write(
    `${request.json ? JSON.stringify(boundJson(judged)) : boundText(judged, process.stdout.isTTY ? process.stdout.columns : Infinity)}\n`,
  )
}
