import { Command } from 'commander'
import { wholeNumber } from '../../terminal/option-values.js'
import type { StudyRunRequest } from './run-action.js'
import { withStudyOptions } from './start.js'

/** The command `pmoe study run`. */
export function studyRunCommand(): Command {
  return withStudyOptions(new Command('run').description('run one cell of a study, for job arrays'))
    .requiredOption('--cell <index>', 'the cell, as pmoe study plan numbers them', wholeNumber)
    .requiredOption('--out <folder>', 'folder of the study, which all cells share')
    .addHelpText(
      'after',
      `
A cell that has a result is left as it is. A cell that fails is recorded; the command then ends with exit code 1.

Example:
  $ pmoe study run fig4 --out /shared/fig4 --cell "$SLURM_ARRAY_TASK_ID"`,
    )
    .action(async (name: string, request: StudyRunRequest) => {
      const { runStudyCell } = await import('./run-action.js')
      await runStudyCell(name, request)
    })
}
