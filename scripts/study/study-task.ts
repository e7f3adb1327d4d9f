import { inOrderOf, type Share, workOff } from '../run/cluster/shared-work.js'
import type { Cell } from './cell.js'
import { runStudy, type StudyRun } from './run-study.js'
import { studyCells } from './study-config.js'
import type { StudyFolder } from './study-folder.js'

/** How a task works on its share of a study. */
export interface StudyTask extends Omit<StudyRun, 'cells' | 'retryFailed'> {
  readonly share: Share
  /** Is told of the cells that others run when nothing else is left. */
  readonly onWaiting?: (busy: ReadonlyMap<Cell, string>) => void
}

/**
 * Runs the cells of a study that have no result and that no other process runs, those of its share first.
 *
 * @returns the cells that are left to processes that live, with what is to be said of each
 * @throws as `runStudy`
 */
export function runStudyTask(
  folder: StudyFolder,
  { share, onWaiting, ...run }: StudyTask,
): Promise<ReadonlyMap<Cell, string>> {
  return workOff(inOrderOf(studyCells(folder.config), share), {
    pass: cells => runStudy(folder, { ...run, cells }),
    signOfLife: ({ index }) => folder.signOfLife(index),
    signal: run.signal,
    ...(onWaiting && { onWaiting }),
  })
}
