import { Command } from 'commander'
import { openShare, positiveNumber } from '../terminal/option-values.js'
import type { BoundRequest } from './bound-action.js'
import { backendOption } from './train.js'

/** The command `pmoe bound`. */
export function boundCommand(): Command {
  return new Command('bound')
    .description('compare the generalisation bound of a mixture of experts with what its run measures')
    .argument('<run>', 'folder of the run')
    .option('--delta <probability>', 'the bound may fail with this probability', openShare, 0.05)
    .option('--margin <logits>', 'margin from which an answer costs nothing', positiveNumber, 1)
    .option('--data <folder>', "folder of your own files, where the run's has moved")
    .addOption(backendOption())
    .option('--json', 'write one JSON object')
    .addHelpText('after', '\nExample:\n  $ pmoe bound runs/clusters --margin 10')
    .action(async (run: string, request: BoundRequest) => {
      const { runBound } = await import('./bound-action.js')
      await runBound(run, request)
    })
}
