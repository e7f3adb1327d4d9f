import type * as tfl from '@tensorflow/tfjs-layers'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { type Criterion, expertScores, pruneExperts } from '../../../src/prune/index.js'
import { deriveSeed } from '../../../src/random.js'
import { areaUnderCurve } from '../../../src/statistics/area-under-curve.js'
import type { PatternPruning } from '../../experiments/pruning-scale.js'
import type { PatternPruned } from '../cell-result.js'
import { patternNetwork, routersOf, withPatternHead } from './networks.js'
import { type StageRun, testAccuracy, trainStage } from './stage-training.js'
import { patternsOf, patternTasks, type Tasks } from './tasks.js'

/**
 * Part 1: a two-layer mixture learns all patterns of the theory and then two of them; every criterion prunes it down to
 * one expert.
 */
export async function prunePatterns(
  sizes: PatternPruning,
  criteria: readonly Criterion[],
  run: StageRun,
): Promise<PatternPruned> {
  const tasks = patternTasks(sizes, run.seed)
  const { shape } = tasks.first.train
  const pretrained = patternNetwork(sizes, shape, { numClasses: sizes.numClasses, seed: run.seed })
  const tuned = patternNetwork(sizes, shape, {
    numClasses: tasks.second.train.classNames.length,
    seed: deriveSeed(run.seed, 'new head'),
  })
  try {
    await trainStage(pretrained, tasks.first.train, sizes.pretraining, run)
    withPatternHead(pretrained, tuned)
    await trainStage(tuned, tasks.second.train, sizes.fineTuning, run)
    const relevant = await relevantExperts(tuned, sizes)
    return {
      pretrainedAccuracy: await testAccuracy(pretrained, tasks.first.test, run.signal),
      accuracy: await testAccuracy(tuned, tasks.second.test, run.signal),
      relevant,
      criteria: await prunedBy({ pretrained, tuned, tasks, relevant, criteria }, run),
    }
  } finally {
    disposeModel(pretrained)
    disposeModel(tuned)
  }
}

interface TunedMixture {
  readonly pretrained: tfl.LayersModel
  readonly tuned: tfl.LayersModel
  readonly tasks: Tasks
  readonly relevant: readonly number[]
  readonly criteria: readonly Criterion[]
}

async function prunedBy(
  { pretrained, tuned, tasks, relevant, criteria }: TunedMixture,
  { seed, signal }: StageRun,
): Promise<PatternPruned['criteria']> {
  const { train, test } = tasks.second
  const panel = await expertScores(tuned, { criteria, reference: pretrained, data: train, seed })
  const results: PatternPruned['criteria'][number][] = []
  for (const criterion of criteria) {
    const { scores, order } = panel[criterion]!
    const accuracies: number[] = []
    for (let keep = scores.length; keep >= 1; keep--) {
      const { model } = await pruneExperts(tuned, {
        criterion,
        keep,
        reference: pretrained,
        data: train,
        seed,
      })
      accuracies.push(await testAccuracy(model, test, signal))
      disposeModel(model)
    }
    results.push({
      criterion,
      scores: [...scores],
      areaUnderCurve: orNull(separation(scores, relevant)),
      overlap: orNull(overlapOf(order, relevant)),
      accuracies,
    })
  }
  return results
}

/** How well scores tell the relevant experts from the others. */
function separation(scores: readonly number[], relevant: readonly number[]): number {
  return areaUnderCurve(
    scores.filter((_, expert) => relevant.includes(expert)),
    scores.filter((_, expert) => !relevant.includes(expert)),
  )
}

/** Share of the relevant experts that are among the last ones in the order of pruning, as many as they are. */
function overlapOf(order: readonly number[], relevant: readonly number[]): number {
  const kept = order.slice(order.length - relevant.length)
  return kept.filter(expert => relevant.includes(expert)).length / relevant.length
}

/** JSON has no NaN. */
function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value
}

/**
 * The experts whose router scores a pattern of the new task's classes higher than any other pattern: o_1 and o_2 among
 * the patterns that tell a class and the centres of those that tell none.
 */
async function relevantExperts(model: tfl.LayersModel, sizes: PatternPruning): Promise<number[]> {
  const { discriminative, sets } = patternsOf(sizes)
  const patterns = [...discriminative, ...sets.map(({ center }) => center)]
  const { values, experts } = await routersOf(model)
  return Array.from({ length: experts }, (_, expert) => expert).filter(expert => {
    const scores = patterns.map(pattern =>
      pattern.reduce((sum, value, i) => sum + value * values[i * experts + expert]!, 0),
    )
    const best = scores.indexOf(Math.max(...scores))
    return best < 2
  })
}
