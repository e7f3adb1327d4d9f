import type * as tfl from '@tensorflow/tfjs-layers'
import { modelCost } from '../../../src/models/cost.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { withNewHead } from '../../../src/models/new-head.js'
import { type Criterion, pruneExperts } from '../../../src/prune/index.js'
import { deriveSeed } from '../../../src/random.js'
import type { PhotographPruning } from '../../experiments/pruning-scale.js'
import type { PhotographPruned, Pruned } from '../cell-result.js'
import { photographNetwork } from './networks.js'
import { type StageRun, testAccuracy, trainStage } from './stage-training.js'
import { type PhotographRun, photographTasks, type Task, type Tasks } from './tasks.js'

/** A network that has learned the first task and then the second one. */
interface TunedNetwork {
  readonly pretrained: tfl.LayersModel
  readonly tuned: tfl.LayersModel
}

/** @param pretrained with its initial weights; it is trained in place, and freed where the training fails */
async function tunedNetwork(
  pretrained: tfl.LayersModel,
  sizes: PhotographPruning,
  { first, second }: Tasks,
  run: StageRun,
): Promise<TunedNetwork> {
  try {
    await trainStage(pretrained, first.train, sizes.pretraining, run)
    const seed = deriveSeed(run.seed, 'new head')
    const { model: tuned } = withNewHead(pretrained, second.train.classNames.length, seed)
    await trainStage(tuned, second.train, sizes.fineTuning, run)
    return { pretrained, tuned }
  } catch (error) {
    disposeModel(pretrained)
    throw error
  }
}

function initialNetwork(sizes: PhotographPruning, { first }: Tasks, { seed }: StageRun): tfl.LayersModel {
  const { shape, classNames } = first.train
  return photographNetwork(sizes, shape, { numClasses: classNames.length, seed })
}

/** A criterion, and for the random one which of its choices. */
interface Choice {
  readonly criterion: Criterion
  readonly draw?: number
}

/**
 * Part 2: a wide mixture learns one task and then another; every criterion prunes it to every number of experts, and
 * what is left is trained on.
 */
export async function prunePhotographs(
  sizes: PhotographPruning,
  criteria: readonly Criterion[],
  run: PhotographRun,
): Promise<PhotographPruned> {
  const tasks = await photographTasks(sizes, run)
  const network = await tunedNetwork(initialNetwork(sizes, tasks, run), sizes, tasks, run)
  const choices = criteria.flatMap((criterion): Choice[] =>
    criterion === 'random'
      ? Array.from({ length: sizes.randomDraws }, (_, i) => ({ criterion, draw: i + 1 }))
      : [{ criterion }],
  )
  try {
    const trained = new Map<string, CutNumbers>()
    const panel: PhotographPruned['panel'][number][] = []
    const cuts: PhotographPruned['cuts'][number][] = []
    for (const choice of choices) {
      for (const keep of sizes.kept) {
        const { cut, scores } = await cutTo(network, tasks, choice, keep, { sizes, run, trained })
        if (keep === sizes.kept[0]) panel.push({ ...choice, scores: [...scores] })
        cuts.push({ ...choice, keep, ...cut })
      }
    }
    return {
      pretrainedAccuracy: await testAccuracy(network.pretrained, tasks.first.test, run.signal),
      accuracy: await testAccuracy(network.tuned, tasks.second.test, run.signal),
      panel,
      cuts,
    }
  } finally {
    disposeModel(network.pretrained)
    disposeModel(network.tuned)
  }
}

type CutNumbers = Omit<PhotographPruned['cuts'][number], 'criterion' | 'draw' | 'keep' | 'kept'>

interface CutSettings {
  readonly sizes: PhotographPruning
  readonly run: StageRun
  /** What is known already, by the experts that were kept. */
  readonly trained: Map<string, CutNumbers>
}

async function cutTo(
  { pretrained, tuned }: TunedNetwork,
  { second }: Tasks,
  { criterion, draw = 0 }: Choice,
  keep: number,
  { sizes, run, trained }: CutSettings,
) {
  const { model, receipt } = await pruneExperts(tuned, {
    criterion,
    keep,
    reference: pretrained,
    data: second.train,
    seed: deriveSeed(run.seed, `draw ${draw}`),
  })
  try {
    const { kept, scores, parameters, multiplyAdds, difference } = receipt
    // Criteria that keep the same experts give the same network, trained by the same steps.
    const key = kept.join(' ')
    const numbers = trained.get(key) ?? {
      ...(await trainedOn(model, second, sizes, run)),
      parameters: parameters.after,
      multiplyAdds: multiplyAdds.after,
      difference,
    }
    trained.set(key, numbers)
    return { cut: { kept: [...kept], ...numbers }, scores }
  } finally {
    disposeModel(model)
  }
}

/** The test accuracies of a pruned network, before it is trained on and after. */
async function trainedOn(
  model: tfl.LayersModel,
  { train, test }: Task,
  { afterwards }: PhotographPruning,
  run: StageRun,
): Promise<Pick<CutNumbers, 'before' | 'after'>> {
  const before = await testAccuracy(model, test, run.signal)
  await trainStage(model, train, afterwards, run)
  return { before, after: await testAccuracy(model, test, run.signal) }
}

/**
 * A network that has fewer experts from the start, of the same size each as those of the large one, with the same
 * training in all.
 */
export async function trainFromStart(
  sizes: PhotographPruning,
  experts: number,
  run: PhotographRun,
): Promise<NonNullable<Pruned['fromStart']>> {
  const tasks = await photographTasks(sizes, run)
  const whole = initialNetwork(sizes, tasks, run)
  const { model } = await pruneExperts(whole, { criterion: 'router-magnitude', keep: experts })
  disposeModel(whole)
  const { pretrained, tuned } = await tunedNetwork(model, sizes, tasks, run)
  try {
    await trainStage(tuned, tasks.second.train, sizes.afterwards, run)
    const { parameters, multiplyAdds } = modelCost(tuned)
    return {
      accuracy: await testAccuracy(tuned, tasks.second.test, run.signal),
      parameters: parameters.total,
      multiplyAdds: multiplyAdds.forward,
    }
  } finally {
    disposeModel(pretrained)
    disposeModel(tuned)
  }
}
