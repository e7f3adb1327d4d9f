/** One independent run of a study: what is different from cell to cell. */
export interface Cell {
  /** From 0, in the order in which cells are run. */
  readonly index: number
  /** The repetition, from 1: decides images, initial weights and order. */
  readonly seed: number
  readonly variant: string
  /** The setting of the data model, where there are several: `S1`. */
  readonly setting?: string
  /** Training images. */
  readonly samples?: number
  /** L, where it is swept over. */
  readonly patchesPerExpert?: number
  /** K, where it is swept over. */
  readonly experts?: number
  /** For mixtures that samples choose: k of T experts. */
  readonly sparse?: { readonly active: number; readonly experts: number }
  /** For measured costs: the axis that is varied, and its value. */
  readonly cost?: { readonly letter: 'l' | 'k' | 'n'; readonly value: number }
}

/** What one seed runs once. */
export type CellSetting = Omit<Cell, 'index' | 'seed'>

/** A cell in a few words: `WRN, 500 images, seed 3`. */
export function cellText({
  variant,
  setting,
  samples,
  patchesPerExpert,
  experts,
  sparse,
  cost,
  seed,
}: Cell): string {
  return [
    setting,
    variant,
    samples !== undefined && `${samples} images`,
    patchesPerExpert !== undefined && `l = ${patchesPerExpert}`,
    experts !== undefined && `k = ${experts}`,
    sparse && `${sparse.active} of ${sparse.experts} experts`,
    cost && `${cost.letter} = ${cost.value}`,
    `seed ${seed}`,
  ]
    .filter(Boolean)
    .join(', ')
}
