import type * as tfl from '@tensorflow/tfjs-layers'
import { type BestEpoch, namedByOrder } from '../checkpoint.js'
import type { FeaturesEvent, TrainEvent } from '../events.js'
import { isRegionModel, type WholeImages } from '../feed.js'
import type { Run } from '../run.js'
import { stageIn } from '../start-run.js'
import { type FeatureCaching, FrozenBody } from './frozen-body.js'
import { cutAfter } from './split-model.js'
import { releaseParts, trainedParts } from './trained-parts.js'
import { stagesText } from './unfreezing.js'

/**
 * Prepares the steps of an epoch: unfreezes the block whose turn it is, and sees to it that the features of the frozen body are kept.
 * A run that is aborted meanwhile has none of it stored.
 */
export async function* beginEpoch(run: Run): AsyncGenerator<TrainEvent> {
  const { options, stages, history } = run
  const { unfreezeEvery, epochs } = options
  const epoch = history.length + 1
  const isFirst = epoch === 1 && run.running.step === 0
  if (unfreezeEvery !== undefined && isFirst) {
    yield { type: 'remark', epoch, remark: stagesText(stages, unfreezeEvery, epochs) }
  }
  const stage = stageIn(options, epoch, stages.length)
  if (stage !== run.stage) await enterStage(run, stage)
  const unkept = isFirst && options.features ? cutRemark(run) : undefined
  if (unkept !== undefined) yield { type: 'remark', epoch, remark: unkept }
  const features = await keptFeatures(run, epoch)
  if (features) yield features
}

/** Trains more of the network from now on: what is trained already keeps its values and averages, the optimizer begins anew. */
async function enterStage(run: Run, stage: number): Promise<void> {
  const { fed, options, stages, annealed, parts, average, best } = run
  const before = [...parts.model.weights]
  const { average: _, ...others } = run
  await releaseParts({ ...others, average: undefined })
  const { targets = { numClasses: parts.classifier.numClasses } } = parts
  Object.assign(run, trainedParts({ fed, options, freezeUntil: stages[stage], targets, annealed }), { stage })
  if (average) run.average?.takeOver(average)
  average?.dispose()
  run.best = best && reordered(best, before, parts.model.weights)
}

/** Weights of an epoch in the order that a model has now: those that are not trained come last. */
function reordered(
  best: BestEpoch,
  before: readonly tfl.LayerVariable[],
  now: readonly tfl.LayerVariable[],
): BestEpoch {
  const weights = now.map(weight => {
    const [, tensor] = best.weights[before.indexOf(weight)] as BestEpoch['weights'][number]
    return [weight, tensor] as const
  })
  return { ...best, weights: namedByOrder(weights) }
}

/** Keeps the features of the sets of a run, where a store is given and its body is frozen; undefined when aborted meanwhile. */
async function keptFeatures(run: Run, epoch: number): Promise<FeaturesEvent | undefined> {
  const { computed, options } = run
  const { features: store, train, test, validation, batchSize, threads, signal } = options
  if (!store || !(computed instanceof FrozenBody) || computed.isPrepared) return undefined
  const began = performance.now()
  const caching = { store, batchSize, computedBy: `threads ${threads ?? 'unknown'}`, signal }
  // The training images come first: where the same are evaluated, their passes are shuffled.
  const sets = Object.entries({ training: train, validation, test }).flatMap(([name, set]) =>
    set ? [{ name, set: set as WholeImages, isShuffled: name === 'training' }] : [],
  )
  try {
    const kept: SetFeatures[] = []
    for (const each of sets)
      if (!computed.isCached(each.set)) kept.push(await setFeatures(computed, each, caching))
    computed.isPrepared = true
    const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
    return {
      type: 'features',
      epoch,
      path: computed.split.path,
      images: sum(kept.map(({ images }) => images)),
      bytes: sum(kept.map(({ bytes }) => bytes)),
      computed: sum(kept.map(set => set.computed)),
      seconds: (performance.now() - began) / 1000,
      remarks: kept.flatMap(({ remarks }) => remarks),
    }
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return undefined
    throw error
  }
}

/** Why the features of frozen layers are not kept, or not those of the last of them: one sentence; undefined where they are. */
function cutRemark({ computed, fed, options }: Run): string | undefined {
  const { freezeUntil } = options
  if (freezeUntil === undefined || isRegionModel(fed)) return undefined
  const cut = cutAfter(fed, freezeUntil)
  if ('tensor' in cut && computed instanceof FrozenBody) return undefined
  const kept =
    computed instanceof FrozenBody
      ? `those after ${computed.split.path} are`
      : 'they are computed in each epoch'
  const reason =
    'reason' in cut
      ? cut.reason
      : 'layers before it change from epoch to epoch, or choose experts for samples'
  return `The features after ${freezeUntil} are not kept, ${kept}: ${reason}.`
}

type SetFeatures = Pick<FeaturesEvent, 'images' | 'bytes' | 'computed' | 'remarks'>

async function setFeatures(
  body: FrozenBody,
  {
    name,
    set,
    isShuffled,
  }: { readonly name: string; readonly set: WholeImages; readonly isShuffled: boolean },
  caching: FeatureCaching,
): Promise<SetFeatures> {
  const stored = await body.cache(set, isShuffled, caching)
  if ('reason' in stored) {
    const remark = `the frozen layers are computed in each epoch for the ${set.count} ${name} images: ${stored.reason}`
    return { images: 0, bytes: 0, computed: 0, remarks: [remark] }
  }
  const { isNew, bytes, remark } = stored
  return {
    images: set.count,
    bytes,
    computed: isNew ? set.count : 0,
    remarks: remark === undefined ? [] : [remark],
  }
}
