import { Argument, Command, Option } from 'commander'
import { scaleNames } from '../../experiments/experiment.js'
import { clusterOptions, notedOptions } from '../../run/cluster/cluster-options.js'
import { positiveInteger } from '../../terminal/option-values.js'
import { backendOption } from '../train.js'
import type { StudyStartRequest } from './start-action.js'

/** The names of studies, for help texts. */
export const studyNames =
  'fig4 to fig12, table2 (with fig12), fig14, fig15, fig16, table1, ablation, clusters, pruning, bound, megapixel, localise, transfer, terms'

/** Adds the flags that decide the numbers of a study. */
export function withStudyOptions(command: Command): Command {
  return command
    .addArgument(new Argument('<name>', studyNames))
    .option('--data <folder>', "folder of the paper's own dataset (default: a stand-in, see the report)")
    .option('--stand-in <folder>', 'folder of the stand-in, for more of it than comes with the package')
    .option(
      '--network <folder>',
      'for transfer: a pretrained tfjs network that takes 0..1 (default: its own)',
    )
    .option('--seeds <count>', 'independent repetitions (default: those of the scale)', positiveInteger)
    .addOption(
      new Option('--scale <name>', 'full, or small for a look in minutes (default: full)').choices(
        scaleNames,
      ),
    )
    .option('--shared-subset', 'train all seeds on the same images, as the published runs do')
    .addOption(backendOption())
}

/** The command `pmoe study NAME`. */
export function studyStartCommand(): Command {
  const command = withStudyOptions(
    new Command('start').description('run a study, or go on with it, and write its report'),
  )
    .option('--jobs <count>', 'processes that run cells (default: the cores, at most 8)', positiveInteger)
    .option('--out <folder>', 'folder of the study (default: runs/study-<name>-<scale>)')
    .option('--retry-failed', 'run cells again that have failed')
    .option('--force', 'replace the study in --out')
    .option('--json', 'write every cell that ends as a JSON line')
  for (const option of clusterOptions()) command.addOption(option)
  const words = notedOptions(command)
  return command
    .addHelpText(
      'after',
      `
Stopped by Ctrl-C, or killed, the same command goes on where it was; asked for more --seeds, it adds them.
--data trains the paper's own settings at full scale: they want a GPU. For localise it names the folder of a study megapixel,
whose trained networks are judged; without it they are trained anew.
With --cluster the cells are run by the tasks of a job, which share the folder; the one that ends last writes the report.

Examples:
  $ pmoe study fig4 --scale small
  $ pmoe study fig16 --seeds 5 --jobs 2 --out runs/fig16
  $ pmoe study fig4 --out /shared/fig4 --cluster slurm --cluster-tasks 8 --cluster-cpus 4 --cluster-time 4h`,
    )
    .action(async (name: string, request: StudyStartRequest) => {
      const { runStudyStart } = await import('./start-action.js')
      await runStudyStart(name, request, words)
    })
}
