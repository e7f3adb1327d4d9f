import { Command } from 'commander'
import { dataFetchCommand } from './data/fetch.js'
import { dataInspectCommand } from './data/inspect.js'
import { dataListCommand } from './data/list.js'
import { dataPrepareCommand } from './data/prepare.js'
import { dataVerifyCommand } from './data/verify.js'

/** The command group `pmoe data`: one file a command. */
export function dataCommand(): Command {
  const group = new Command('data').description('prepare, check and look at the images of datasets')
  const commands = [
    dataListCommand(),
    dataFetchCommand(),
    dataPrepareCommand(),
    dataInspectCommand(),
    dataVerifyCommand(),
  ]
  for (const command of commands) group.addCommand(command)
  return group
}
