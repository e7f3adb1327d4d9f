import type { CostExperiment, Scale, TrainingExperiment, Variant } from '../experiments/experiment.js'

/** One independent run of a study: what is different from cell to cell. */
export interface Cell {
  /** From 0, in the order in which cells are run. */
  readonly index: number
  /** The repetition, from 1: decides images, initial weights and order. */
  readonly seed: number
  readonly variant: string
  /** Training images. */
  readonly samples?: number
  /** L, where it is swept over. */
  readonly patchesPerExpert?: number
  /** K, where it is swept over. */
  readonly experts?: number
  /** For measured costs: the axis that is varied, and its value. */
  readonly cost?: { readonly letter: 'l' | 'k' | 'n'; readonly value: number }
}

/** The grid of an experiment: everything that cells differ in, and all that they have in common. */
export type Grid =
  | ({ readonly kind: 'training'; readonly variants: readonly Variant[] } & Omit<Scale, 'variants' | 'seeds'>)
  | ({ readonly kind: 'cost' } & Omit<CostExperiment['scales']['full'], 'seeds'>)

/**
 * The cells of a grid. Seeds are outermost, so that a study that has not ended yet is balanced, and additional seeds
 * add their cells at the end; variants are innermost, so that those that are compared run at about the same time.
 *
 * @param seeds repetitions, at least 1
 */
export function cellsOf(grid: Grid, seeds: number): Cell[] {
  const settings = grid.kind === 'cost' ? costSettings(grid) : trainingSettings(grid)
  return Array.from({ length: seeds }, (_, i) => settings.map(cell => ({ ...cell, seed: i + 1 })))
    .flat()
    .map((cell, index) => ({ index, ...cell }))
}

type Setting = Omit<Cell, 'index' | 'seed'>

function trainingSettings({ variants, samples, patchesPerExpert, experts }: Grid & { kind: 'training' }) {
  return samples.flatMap(count =>
    sweep(patchesPerExpert).flatMap((l, i) =>
      sweep(experts).flatMap((k, j) =>
        variants.flatMap((variant): Setting[] => {
          const cell = { variant: variant.name, samples: count }
          if (!variant.sweeps) return i === 0 && j === 0 ? [cell] : []
          return [
            {
              ...cell,
              ...(l !== undefined && { patchesPerExpert: l }),
              ...(k !== undefined && { experts: k }),
            },
          ]
        }),
      ),
    ),
  )
}

function sweep(values: readonly number[] | undefined): readonly (number | undefined)[] {
  return values ?? [undefined]
}

function costSettings({ axes }: Grid & { kind: 'cost' }): Setting[] {
  return axes.flatMap(({ letter, values }) =>
    values.map(value => ({ variant: 'pMoE', cost: { letter, value } })),
  )
}

/**
 * The grid of an experiment at a scale.
 *
 * @param scale of the experiment: one of `scales`, or `paperScale`
 */
export function trainingGrid({ variants }: TrainingExperiment, scale: Scale): Grid {
  const { seeds: _, variants: scaleVariants, ...rest } = scale
  return { kind: 'training', variants: scaleVariants ?? variants, ...rest }
}

/** A cell in a few words: `WRN, 500 images, seed 3`. */
export function cellText({ variant, samples, patchesPerExpert, experts, cost, seed }: Cell): string {
  return [
    variant,
    samples !== undefined && `${samples} images`,
    patchesPerExpert !== undefined && `l = ${patchesPerExpert}`,
    experts !== undefined && `k = ${experts}`,
    cost && `${cost.letter} = ${cost.value}`,
    `seed ${seed}`,
  ]
    .filter(Boolean)
    .join(', ')
}
