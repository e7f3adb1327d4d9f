import * as z from 'zod'
import type { CostExperiment } from '../../experiments/experiment.js'
import type { GridKind } from './grid-kind.js'
import { count, sweep } from './variants.js'

/** The sizes of a layer whose cost is measured. */
export type CostGrid = { readonly kind: 'cost' } & Omit<CostExperiment['scales']['full'], 'seeds'>

/** Studies of cost. */
export const costGrid: GridKind<CostExperiment, CostGrid> = {
  schema: z.strictObject({
    kind: z.literal('cost'),
    axes: z.array(z.looseObject({ letter: z.enum(['l', 'k', 'n']), values: sweep })).min(1),
    batch: count,
    patchSide: count,
    hiddenUnits: count,
    base: z.strictObject({ l: count, k: count, n: count }),
    rounds: count,
  }),
  gridOf({ scales }, scale) {
    const { seeds, ...grid } = scales[scale]
    return { grid: { kind: 'cost', ...grid }, seeds }
  },
  settings({ axes }) {
    return axes.flatMap(({ letter, values }) =>
      values.map(value => ({ variant: 'pMoE', cost: { letter, value } })),
    )
  },
  mostSettings: ({ axes }) => axes.reduce((sum, { values }) => sum + values.length, 0),
  isTimed: true,
}
