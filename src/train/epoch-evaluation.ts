import { annealedPatches } from './anneal.js'
import { bestWith, duringBest } from './best-weights.js'
import { recomputeStatistics } from './bn-statistics.js'
import type { BestEpoch } from './checkpoint.js'
import { shouldStop } from './early-stop.js'
import { type Evaluation, evaluate } from './evaluate.js'
import { DivergenceError, type EpochMetrics } from './events.js'
import { isRegionModel, type TrainingData, type WholeImages } from './feed.js'
import { lossOptions } from './loss.js'
import { measureMixtures } from './routing/mixture-measures.js'
import { measureRouting, summarizeRouting } from './routing/routing-summary.js'
import { measureSampleRouting, summarizeSampleRouting } from './routing/sample-routing-metrics.js'
import { newSigns, showsSigns, signsOfLife } from './routing/signs-of-life.js'
import { cancelOf, position, type Run } from './run.js'

/** Evaluations compute at least this many images at a time: without gradients there is memory for more than in training. */
const minEvaluatedAtOnce = 128

function atOnce(batchSize: number): number {
  return Math.max(batchSize, minEvaluatedAtOnce)
}

type EvaluationMetrics = Pick<
  EpochMetrics,
  | 'validationLoss'
  | 'validationAccuracy'
  | 'bestEpoch'
  | 'testLoss'
  | 'testAccuracy'
  | 'testWorstGroup'
  | 'routing'
  | 'sampleRouting'
  | 'signs'
  | 'evaluatedKept'
>

/** What an epoch measured without a step, and the best epoch then, where epochs are chosen. */
export interface AssessedEpoch {
  readonly metrics: EvaluationMetrics
  readonly best: BestEpoch | undefined
}

/**
 * What the running epoch measures without a step, with the averages where the weights are averaged: on the validation set, or
 * without one on the test set, and on the latter with the best weights if the run ends with this epoch; undefined when the run was
 * aborted meanwhile.
 */
export function assessEpoch(run: Run): Promise<AssessedEpoch | undefined> {
  const assessed = async () => {
    const metrics = await assess(run)
    if (!metrics || !run.options.validation) return metrics && { metrics, best: undefined }
    const { annealPatches } = run.options
    const patches = annealPatches && annealedPatches(annealPatches, run.history.length + 1)
    const best = await bestWith(run, {
      ...metrics,
      ...(patches !== undefined && { patchesPerExpert: patches }),
    })
    const tested = await testAtEnd(run, metrics, best)
    return tested && { metrics: { ...metrics, ...(best && { bestEpoch: best.epoch }), ...tested }, best }
  }
  return run.average ? run.average.during(assessed) : assessed()
}

/**
 * Loss and accuracy on the validation set, or without one on the test set; empty without either, undefined when the run
 * was aborted meanwhile.
 */
async function assess(run: Run): Promise<EvaluationMetrics | undefined> {
  const { train, test, validation, batchSize, seed, bnStatistics = 'recomputed' } = run.options
  return unlessAborted(run, async () => {
    if (bnStatistics === 'recomputed')
      await recomputeStatistics(run.computed, train, {
        batchSize,
        seed,
        ...cancelOf(run),
        workers: run.parts.workers,
      })
    const set = validation ?? test
    if (!set) return signsOf(run, train)
    const evaluation = await evaluated(run, set, validation ? 'validation' : 'test')
    return {
      ...(validation ? ofValidation(evaluation) : ofTest(evaluation)),
      ...(evaluation.kept && { evaluatedKept: evaluation.kept }),
      ...(await routingOf(run, set, evaluation)),
      ...(await signsOf(run, set)),
    }
  })
}

/** Loss and accuracy on the test set if the run ends with this epoch, else empty; undefined when aborted meanwhile. */
async function testAtEnd(
  run: Run,
  validation: EvaluationMetrics,
  best: BestEpoch | undefined,
): Promise<EvaluationMetrics | undefined> {
  const { test, epochs, earlyStop } = run.options
  const epoch = run.history.length + 1
  const stops = earlyStop && shouldStop([...run.history, { epoch, ...validation }], earlyStop)
  if (!test || (epoch < epochs && !stops && !run.stopped)) return {}
  return unlessAborted(run, () =>
    duringBest(run, best, async () => ofTest(await evaluated(run, test, 'test'))),
  )
}

async function unlessAborted<T>(
  { options: { signal } }: Run,
  measure: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await measure()
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return undefined
    throw error
  }
}

/** Where the experts look, and which experts samples choose, if this is to be measured. */
async function routingOf(
  run: Run,
  set: TrainingData,
  { routing: ofSamples }: Evaluation,
): Promise<EvaluationMetrics> {
  const { options, fed } = run
  const { train, routingMetrics } = options
  // Of images that are read in parts every evaluation measures what was kept.
  if (!routingMetrics || isRegionModel(fed)) return {}
  const cancel = cancelOf(run)
  const routing = await measureRouting(fed, set as WholeImages, cancel)
  return {
    ...(routing && { routing: summarizeRouting(routing) }),
    ...(ofSamples && {
      sampleRouting: summarizeSampleRouting(
        await measureSampleRouting(fed, train as WholeImages, {
          batchSize: atOnce(options.batchSize),
          ...cancel,
        }),
        ofSamples,
      ),
    }),
  }
}

/** What is wrong with the layers of experts and was not yet said, after the epochs that `showsSigns` names. */
async function signsOf(run: Run, set: TrainingData): Promise<Pick<EpochMetrics, 'signs'>> {
  const { fed, history, options, routersAtStart, stopped } = run
  const { epochs, evaluateEvery = 1, seed, annealPatches } = options
  const epoch = history.length + 1
  const isLast = epoch === epochs || stopped
  if (isRegionModel(fed) || !showsSigns(epoch, { evaluateEvery, isLast })) return {}
  cancelOf(run).signal?.throwIfAborted()
  const mixtures = await measureMixtures(fed, set as WholeImages, { seed, routersAtStart })
  const found = mixtures.flatMap(measures =>
    signsOfLife(measures, { epoch, isAnnealed: annealPatches !== undefined }),
  )
  const signs = newSigns(
    found,
    history.flatMap(done => done.signs ?? []),
  )
  return signs.length > 0 ? { signs } : {}
}

function ofValidation({ loss, accuracy }: Evaluation): EvaluationMetrics {
  return { validationLoss: loss, validationAccuracy: accuracy }
}

function ofTest({ loss, accuracy, worstGroup }: Evaluation): EvaluationMetrics {
  return {
    testLoss: loss,
    testAccuracy: accuracy,
    ...(worstGroup !== undefined && { testWorstGroup: worstGroup }),
  }
}

async function evaluated(run: Run, set: TrainingData, what: string): Promise<Evaluation> {
  const { batchSize } = run.options
  const result = await evaluate(run.computed, set, {
    batchSize: isRegionModel(run.fed) ? batchSize : atOnce(batchSize),
    ...lossOptions(run.options),
    ...cancelOf(run),
    cluster: run.parts.workers?.cluster,
  })
  if (Number.isFinite(result.loss)) return result
  const at = { ...position(run), loss: run.lastLoss }
  throw new DivergenceError(`${what} loss must be finite, got ${result.loss}`, at, run.lastCheckpoint)
}
