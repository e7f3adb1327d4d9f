import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { sampleRoutingLayers } from '../../src/layers/moe/routing-layers.js'
import { modelCost } from '../../src/models/cost.js'
import { openRun } from '../../src/run/run-folder.js'
import { evaluate } from '../../src/train/evaluate.js'
import { networkOf } from '../../src/train/feed.js'
import { lossOf } from '../../src/train/loss.js'
import { frozenWhereFaster } from '../run/frozen-model.js'
import { keepPatches } from '../run/opened-model.js'
import { AnySizeModel } from '../run/regions/region-answers.js'
import { noiseText, routingRecord, routingText } from '../run/routing-text.js'
import { dataPath, loadData, loadRegions } from '../run/run-data.js'
import { loadTrained } from '../run/trained-model.js'
import { textTable } from '../terminal/text-table.js'
import { keptText, percent } from '../terminal/training-log.js'

/** The flags of `pmoe evaluate`. */
export interface EvaluateRequest {
  readonly data?: string
  /** L, in the place of that of training. */
  readonly patchesPerExpert?: number
  readonly backend?: BackendName | 'auto'
  readonly routingNoise?: boolean
  readonly json?: boolean
}

/** Evaluates the model of a run on its test images and writes what it measured. */
export async function runEvaluate(directory: string, request: EvaluateRequest): Promise<void> {
  const run = await openRun(directory)
  const { config } = run
  const backend = await useBackend(request.backend ?? 'auto')
  const model = await loadTrained(run)
  const dataset =
    request.data === undefined ? config.dataset : { ...config.dataset, data: dataPath(request.data) }
  const { options } = config.model
  const isRouted = options.kind === 'routed'
  if (!isRouted) keepPatches(model, 'evaluate', request)
  const { test } = await (isRouted ? loadRegions : loadData)(dataset, config.seed)
  const fed = isRouted
    ? new AnySizeModel({ model, directory, config }, options, 'evaluate', request).modelFor(test.shape)
    : model
  const { batchSize, lossForm = 'cross-entropy' } = config.training
  // What samples choose is measured in the layers.
  const isFreezable = !isRouted && sampleRoutingLayers(model).length === 0
  const frozen = isFreezable ? await frozenWhereFaster(model, { images: test.count }) : undefined
  const evaluation = await evaluate(fed, test, {
    batchSize,
    frozen,
    lossForm,
    ...(request.routingNoise && { routingNoise: true, seed: config.seed }),
  })
  const { loss, accuracy, perClass, perGroup, worstGroup, count, routing = [], withNoise, kept } = evaluation
  const { floor } = lossOf(model, { lossForm })
  const { parameters, multiplyAdds } = modelCost(networkOf(fed))
  if (request.json) {
    const classes = Object.fromEntries(test.classNames.map((name, i) => [name, perClass[i]]))
    const groups = perGroup && {
      perGroup: Object.fromEntries((test.groupNames ?? []).map((name, i) => [name, perGroup[i]])),
      worstGroup,
    }
    const cost = { parameters: parameters.total, multiplyAdds: multiplyAdds.forward }
    process.stdout.write(
      `${JSON.stringify({ run: directory, backend: backend.name, accuracy, loss, count, perClass: classes, ...groups, ...cost, ...(kept && { kept }), ...routingRecord(evaluation) })}\n`,
    )
    return
  }
  const rows = shares(test.classNames, perClass)
  const groups =
    perGroup && worstGroup !== undefined
      ? `\n${textTable(['group', 'accuracy'], shares(test.groupNames ?? [], perGroup))}\nworst group ${percent(worstGroup)}\n`
      : ''
  process.stdout.write(`${config.model.name} on ${count} test images of ${dataset.name} (backend ${backend.name})
accuracy ${percent(accuracy)}, loss ${loss.toFixed(4)}${floor > 0 ? ` (at least ${floor.toFixed(4)})` : ''}, ${parameters.total.toLocaleString('en-US')} parameters, ${multiplyAdds.forward.toLocaleString('en-US')} multiply-adds a sample

${textTable(['class', 'accuracy'], rows)}
${groups}${kept ? `${keptText(kept)}\n` : ''}${routing.map(routingText).join('')}${withNoise ? noiseText(withNoise) : ''}`)
}

function shares(names: readonly string[], accuracies: readonly number[]): string[][] {
  return names.map((name, i) => [name, percent(accuracies[i] ?? Number.NaN)])
}
