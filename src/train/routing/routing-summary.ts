import type * as tfl from '@tensorflow/tfjs-layers'
import * as z from 'zod'
import type { ImageSet } from '../../data/image-set.js'
import type { TrainingData } from '../feed.js'
import { type RoutingMetrics, routingMetrics } from './routing-metrics.js'
import { type RecordOptions, type RegionRouter, recordRouting } from './routing-record.js'

const share = z.number()

/** The stored form of a {@link RoutingSummary}. */
export const routingSummarySchema = z.strictObject({
  uncovered: share,
  coveredOnce: share,
  coveredSeveral: share,
  largestShare: share,
  fixedExperts: z.int(),
  trueKept: share.exactOptional(),
  ownRecall: share.exactOptional(),
  largestGate: z.array(share.nullable()).exactOptional(),
  largestGateExpert: z.array(z.int()).exactOptional(),
  dispatchEntropy: z.number().nullable().exactOptional(),
  mutualInformation: z.number().nullable().exactOptional(),
  deadExperts: z.int().exactOptional(),
})

/** The routing metrics of an epoch in a few numbers; those of true patches only where these are known. */
export interface RoutingSummary {
  /** Shares of all patches kept by no expert, by one, by several. */
  readonly uncovered: number
  readonly coveredOnce: number
  readonly coveredSeveral: number
  /** Mean over experts and images of the largest gate's share of the sum of gates. */
  readonly largestShare: number
  /** Experts that keep the same patches of every image. */
  readonly fixedExperts: number
  /** Share of images of which an expert keeps a true patch. */
  readonly trueKept?: number
  /** Share of images of which the expert of the class's number keeps a true patch (Figure 8), where K = classes. */
  readonly ownRecall?: number
  /**
   * (classes) share of a class's images whose true patch is the best of the class's best expert (Figure 9); null for a
   * class without images.
   */
  readonly largestGate?: readonly (number | null)[]
  /** (classes) the best expert of each class. */
  readonly largestGateExpert?: readonly number[]
  /** In nats; null where no expert keeps any true patch. */
  readonly dispatchEntropy?: number | null
  readonly mutualInformation?: number | null
  /** Experts that no true patch goes to. */
  readonly deadExperts?: number
}

/**
 * Records the routing of a model over a set and measures it, with the true patches if the set knows its true cells or the
 * boxes of its objects. Whether a model that reads images in parts finds things is measured by `evaluate`, as `kept`.
 *
 * @param model as of `recordRouting`: a network, or the model of `routedModel` with a stream of images that are read in parts
 * @returns undefined for a network that keeps every patch, or has no experts
 */
export async function measureRouting(
  model: tfl.LayersModel | RegionRouter,
  set: TrainingData,
  options: RecordOptions = {},
): Promise<RoutingMetrics | undefined> {
  const record = await recordRouting(model, set, options)
  if (!record) return undefined
  const { cells, trueCell, objectBox, labels } = set as Partial<ImageSet>
  return routingMetrics(record, {
    // A stream has no array of labels; without true patches no metric reads them.
    labels: labels ?? new Int32Array(record.count),
    numClasses: set.classNames.length,
    ...(cells && trueCell && labels && { cells, trueCell }),
    ...(objectBox && labels && { objectBox, imageSize: [set.shape[0], set.shape[1]] }),
  })
}

/** The few numbers of a routing that are kept for each epoch. */
export function summarizeRouting({ coverage, gates, fixedExperts, truth }: RoutingMetrics): RoutingSummary {
  const summary = {
    uncovered: coverage.none,
    coveredOnce: coverage.one,
    coveredSeveral: coverage.several,
    largestShare: gates.reduce((sum, gate) => sum + gate.largestShare, 0) / gates.length,
    fixedExperts: fixedExperts.length,
  }
  if (!truth) return summary
  const { recall, ownRecall, largestGate, dispatch, deadExperts } = truth
  return {
    ...summary,
    trueKept: recall.at(-1)!,
    ...(ownRecall && { ownRecall: ownRecall.at(-1)! }),
    largestGate: largestGate.map(best => orNull(best.share)),
    largestGateExpert: largestGate.map(best => best.expert),
    dispatchEntropy: orNull(dispatch.entropy),
    mutualInformation: orNull(dispatch.mutualInformation),
    deadExperts: deadExperts.length,
  }
}

/** JSON has no NaN. */
function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value
}
