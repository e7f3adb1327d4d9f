import type * as z from 'zod'
import type { Experiment, ScaleName } from '../../experiments/experiment.js'
import type { CellSetting } from '../cell.js'

/**
 * What the configuration of a study and the results of its cells hold, for the experiments of one kind. How its cells
 * are run, and what is said of them, is in `../kinds`.
 *
 * @typeParam OfExperiment the experiments of the kind
 * @typeParam OfGrid what differs between the cells of a study, and what they have in common; JSON
 */
export interface GridKind<OfExperiment extends Experiment, OfGrid extends { readonly kind: string }> {
  /** What `study.json` must hold as its grid. */
  readonly schema: z.ZodType
  /** The grid of an experiment, and how often it is usually repeated. */
  gridOf(
    experiment: OfExperiment,
    scale: ScaleName,
    withPaperData: boolean,
  ): { readonly grid: OfGrid; readonly seeds: number }
  /** What each seed runs, in its order. Those that are compared stand side by side, so that they run at about one time. */
  settings(grid: OfGrid): CellSetting[]
  /** At least the number of settings of a seed, computed without listing them. */
  mostSettings(grid: OfGrid): number
  /** Cells measure time: they would disturb each other, and run one at a time unless asked otherwise. */
  readonly isTimed?: boolean
}
