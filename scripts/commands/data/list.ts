import { Command } from 'commander'
import { withCacheOption } from '../../terminal/cache-option.js'
import type { DataListRequest } from './list-action.js'

/** The command `pmoe data list`. */
export function dataListCommand(): Command {
  return withCacheOption(new Command('list'))
    .description('list the datasets: what they are, where to get them, what is there, how to train on them')
    .option('--data <folder>', 'tell which datasets are in this folder')
    .option('--json', 'write one JSON array')
    .addHelpText('after', '\nExamples:\n  $ pmoe data list\n  $ pmoe data list --data ~/Downloads')
    .action(async (request: DataListRequest) => {
      const { runDataList } = await import('./list-action.js')
      await runDataList(request)
    })
}
