import { disposeModel } from '../../../src/models/dispose-model.js'
import type { ReferenceRouters } from '../../../src/prune/index.js'
import type { RunFolder } from '../../../src/run/run-folder.js'
import { modelRouters, type Routers } from '../../../src/run/starting-routers.js'
import { openModel } from '../opened-model.js'

/** How `--reference` names the routers that the run itself started with. */
export const INITIAL = 'initial'

/**
 * The routers that a run's routers are compared with.
 *
 * @param named folder of a run or a saved model, or {@link INITIAL}
 * @throws Error where the run has kept no routers of its start, saying what can be named instead, or the folder holds
 *   neither a run nor a model
 */
export async function pruningReference(run: RunFolder, named: string): Promise<ReferenceRouters> {
  if (named !== INITIAL) {
    const { model, directory } = await openModel(named)
    const routers = await modelRouters(model)
    disposeModel(model)
    return referenceOf(directory, routers)
  }
  const routers = await routersAtStart(run)
  if (routers) return referenceOf(INITIAL, routers)
  throw new Error(
    `prune: ${run.directory} must hold the routers that it started with, routers-start.safetensors, got none: ` +
      `it is of a version that kept none (written by patch-moe ${run.config.versions.patchMoe}). Name the run or model ` +
      'that it started from with --reference, or take a criterion that needs no reference, such as router-magnitude',
  )
}

/** The routers that a run started with, also of one that kept the network that it started from instead of them. */
export async function routersAtStart(run: RunFolder): Promise<Routers | undefined> {
  const stored = await run.startingRouters()
  if (stored || run.config.model.options.kind !== 'init') return stored
  const initial = await run.loadInitial()
  const routers = await modelRouters(initial)
  disposeModel(initial)
  return routers
}

function referenceOf(path: string, routers: Routers): ReferenceRouters {
  const values = [...routers].map(([name, { shape, data }]) => [
    name.slice(0, name.lastIndexOf('/')),
    { shape, values: Float32Array.from(data, Number) },
  ])
  return { path, routers: Object.fromEntries(values) }
}
