import { Command } from 'commander'
import { shareOption } from '../../run/cluster/cluster-options.js'
import { positiveInteger, wholeNumber } from '../../terminal/option-values.js'
import type { StudyRunRequest } from './run-action.js'
import { withStudyOptions } from './start.js'

/** The command `pmoe study run`. */
export function studyRunCommand(): Command {
  return withStudyOptions(
    new Command('run').description('run one cell of a study, or the share of a task of a job array'),
  )
    .option('--cell <index>', 'the cell, as pmoe study plan numbers them', wholeNumber)
    .requiredOption('--out <folder>', 'folder of the study, which all cells share')
    .option('--jobs <count>', 'processes of a task that run cells (default: 1)', positiveInteger)
    .addOption(shareOption())
    .addHelpText(
      'after',
      `
A cell that has a result is left as it is. With --cell, a cell that fails is recorded; the command then ends with exit code 1.
With --share, cells that no other task has are run, those of the share first; what a killed task left is taken over,
and the task that ends last writes the report.

Examples:
  $ pmoe study run fig4 --out /shared/fig4 --cell "$SLURM_ARRAY_TASK_ID"
  $ pmoe study run fig4 --out /shared/fig4 --share "$SLURM_ARRAY_TASK_ID/16"`,
    )
    .action(async (name: string, request: StudyRunRequest) => {
      const { runStudyPart } = await import('./run-action.js')
      await runStudyPart(name, request)
    })
}
