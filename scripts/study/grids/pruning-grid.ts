import * as z from 'zod'
import type { PruningExperiment } from '../../experiments/experiment.js'
import type { PruningScale } from '../../experiments/pruning-scale.js'
import type { GridKind } from './grid-kind.js'
import { count } from './variants.js'

/** The two parts of a study of pruning. */
export interface PruningGrid extends Omit<PruningScale, 'seeds'> {
  readonly kind: 'pruning'
}

/** What a cell of a study of pruning does. */
export const pruningVariants = {
  patterns: 'patterns',
  photographs: 'photographs',
  fromStart: 'from the start',
  latency: 'latency',
} as const

const stage = z.strictObject({
  samples: count,
  epochs: count,
  batchSize: count,
  learningRate: z.number().positive(),
})

/** Studies of pruning. */
export const pruningGrid: GridKind<PruningExperiment, PruningGrid> = {
  schema: z.strictObject({
    kind: z.literal('pruning'),
    criteria: z.array(z.string().min(1)).min(1),
    patterns: z.strictObject({
      numClasses: count,
      experts: count,
      patchesPerExpert: count,
      hiddenUnits: count,
      testSamples: count,
      pretraining: stage,
      fineTuning: stage,
    }),
    photographs: z.strictObject({
      experts: count,
      patchesPerExpert: count,
      widen: count,
      pretraining: stage,
      fineTuning: stage,
      afterwards: stage,
      testSamples: count,
      kept: z.array(count).min(1),
      randomDraws: count,
    }),
    latencyRounds: count,
  }),
  gridOf({ scales, paperPhotographs }, scale, withPaperData) {
    const { seeds, photographs, ...grid } = scales[scale]
    const isWhole = withPaperData && scale === 'full'
    return {
      grid: { kind: 'pruning', ...grid, photographs: { ...photographs, ...(isWhole && paperPhotographs) } },
      seeds,
    }
  },
  settings({ photographs: { kept, experts } }) {
    // With all experts from the start it is the network that was not pruned.
    const fewer = kept.filter(count => count < experts)
    return [
      { variant: pruningVariants.patterns },
      { variant: pruningVariants.photographs },
      ...fewer.map(count => ({ variant: pruningVariants.fromStart, experts: count })),
      { variant: pruningVariants.latency },
    ]
  },
  mostSettings: ({ photographs: { kept } }) => 3 + kept.length,
}
