import * as z from 'zod'
import type { BoundExperiment, BoundScale, SparseSetting } from '../../experiments/experiment.js'
import type { GridKind } from './grid-kind.js'
import { count, flags, sweep } from './variants.js'

/** Mixtures against active experts, experts and training samples, one after the other. */
export interface BoundGrid extends Omit<BoundScale, 'seeds'> {
  readonly kind: 'bound'
}

/** The axes of a grid, as the theorem calls them. */
export const boundAxes = {
  active: 'k',
  experts: 'T',
  samples: 'm',
} as const satisfies Readonly<Record<keyof SparseSetting, string>>

/** The settings along one axis, the others at their base; k is at most T. */
export function settingsAlong(axis: keyof SparseSetting, { base, ...grid }: BoundGrid): SparseSetting[] {
  return grid[axis]
    .map(value => ({ ...base, [axis]: value }))
    .filter(({ active, experts }) => active <= experts)
}

/** Studies of the generalisation bound. */
export const boundGrid: GridKind<BoundExperiment, BoundGrid> = {
  schema: z.strictObject({
    kind: z.literal('bound'),
    base: z.strictObject({ active: count, experts: count, samples: count }),
    active: sweep,
    experts: sweep,
    samples: sweep,
    testSamples: count,
    delta: z.number().positive().lt(1),
    margin: z.number().positive(),
    flags,
  }),
  gridOf({ scales }, scale) {
    const { seeds, ...grid } = scales[scale]
    return { grid: { kind: 'bound', ...grid }, seeds }
  },
  settings(grid) {
    const all = Object.keys(boundAxes).flatMap(axis => settingsAlong(axis as keyof SparseSetting, grid))
    // The base is on every axis.
    const different = new Map(all.map(setting => [Object.values(setting).join(), setting]))
    return [...different.values()].map(({ active, experts, samples }) => ({
      variant: 'mixture',
      samples,
      sparse: { active, experts },
    }))
  },
  mostSettings: ({ active, experts, samples }) => active.length + experts.length + samples.length,
}
