import type { Experiment } from '../../experiments/experiment.js'
import { boundGrid } from './bound-grid.js'
import { clustersGrid } from './clusters-grid.js'
import { costGrid } from './cost-grid.js'
import type { GridKind } from './grid-kind.js'
import { localiseGrid, megapixelGrid } from './large-images-grid.js'
import { pruningGrid } from './pruning-grid.js'
import { trainingGrid } from './training-grid.js'
import { transferGrid } from './transfer-grid.js'

/** The grid of every kind of experiment. A new kind is one file and one line here, and the same in `../kinds`. */
export const gridKinds = {
  training: trainingGrid,
  cost: costGrid,
  clusters: clustersGrid,
  pruning: pruningGrid,
  bound: boundGrid,
  megapixel: megapixelGrid,
  localise: localiseGrid,
  transfer: transferGrid,
} as const

type GridKinds = typeof gridKinds

/** The name of a kind of experiment. */
export type KindName = keyof GridKinds

/** The grid of an experiment: everything that cells differ in, and all that they have in common. */
export type GridOf<Name extends KindName> = ReturnType<GridKinds[Name]['gridOf']>['grid']
export type Grid = GridOf<KindName>

/** The experiments of a kind. */
export type ExperimentOf<Name extends KindName> = Extract<Experiment, { readonly kind: Name }>

/** What a kind of experiment has as its grid. */
export function gridKind<Name extends KindName>(name: Name): GridKind<ExperimentOf<Name>, GridOf<Name>> {
  // An entry takes the grids of its own kind, which TypeScript cannot tell from the others' here.
  return gridKinds[name] as unknown as GridKind<ExperimentOf<Name>, GridOf<Name>>
}
