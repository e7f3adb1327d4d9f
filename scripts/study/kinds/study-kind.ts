import type { TopLevelSpec } from 'vega-lite'
import type { BackendChoice } from '../../../src/backend/choose.js'
import type { StudyTable } from '../../../src/report/study-page.js'
import { UsageError } from '../../terminal/usage-error.js'
import type { Cell } from '../cell.js'
import type { CellCheckpoints } from '../cell-checkpoints.js'
import type { CellResult, DoneCell, Outcome } from '../cell-result.js'
import type { ExperimentOf, GridOf, KindName } from '../grids/grids.js'
import type { PeerResult } from '../peer-result.js'
import type { StudyConfig } from '../study-config.js'
import type { StudyFolder } from '../study-folder.js'

/** One cell that is to be run. */
export interface CellWork<Name extends KindName> {
  readonly folder: StudyFolder
  readonly grid: GridOf<Name>
  readonly cell: Cell
  readonly backend: BackendChoice
  /** Of a training that goes on where it was stopped. */
  readonly checkpoints: CellCheckpoints
  /** Ends the cell, with the signal's reason as the error. */
  readonly signal: AbortSignal
}

/** What the results of a study say so far. */
export interface KindReport {
  /** Everything in numbers, for `results.json`. */
  readonly summary: object
  /** In sentences, which the numbers decide. */
  readonly findings: readonly string[]
  /** In the few words of a row among other studies. */
  readonly brief: string
  readonly tables: readonly StudyTable[]
  /** Undefined while there is nothing to draw. */
  readonly spec: TopLevelSpec | undefined
}

/** How the experiments of a kind are run and reported; what their configurations hold is in `../grids`. */
export interface StudyKind<Name extends KindName> {
  /** What the study is trained on or measured with, in sentences. */
  dataSentence(experiment: ExperimentOf<Name>, config: StudyConfig): string
  /** Whether other data take the place of the paper's own. */
  isStandIn(config: StudyConfig): boolean
  /** Whether `--network` names a pretrained network; never unless given. */
  readonly takesNetwork?: boolean
  /**
   * Checks, without reading them, that the files of a study are there.
   *
   * @throws UsageError saying what to fetch, or what to leave out
   */
  checkFiles(experiment: ExperimentOf<Name>, config: StudyConfig): void
  /**
   * Checks, before any cell runs, that there are as many images as the largest cell asks for.
   *
   * @returns what is to be said of the images, a sentence each
   * @throws UsageError with the number asked for and that available; Error when files are missing or damaged
   */
  checkImages?(experiment: ExperimentOf<Name>, config: StudyConfig): Promise<readonly string[]>
  /**
   * Runs a cell and returns its numbers.
   *
   * @throws the reason of the signal when it was aborted; any other error makes the cell a failed one
   */
  run(work: CellWork<Name>): Promise<Outcome>
  /** Whether a report shows where the experts of a cell looked; never unless given. */
  isShown?(grid: GridOf<Name>, cell: Cell): boolean
  /**
   * The report of what there is.
   *
   * @param peers what other programs reached on the same images
   */
  report(
    experiment: ExperimentOf<Name>,
    grid: GridOf<Name>,
    results: ReadonlyMap<number, CellResult>,
    peers: readonly PeerResult[],
  ): KindReport
  /** The numbers of a cell in a few words, for the log. */
  resultText(result: DoneCell): string
  /** Settings that all cells have in common, for the page: names and values. */
  commonSettings(grid: GridOf<Name>): (readonly [name: string, value: string])[]
}

/**
 * For kinds that take no files of the user.
 *
 * @param takes what they take instead: `random images`
 * @throws UsageError when a folder is given
 */
export function refuseFolders({ experiment, data, standIn }: StudyConfig, takes: string): void {
  if (data === null && standIn === null) return
  throw new UsageError(`study: --data and --stand-in must be left out for ${experiment}: it takes ${takes}`)
}
