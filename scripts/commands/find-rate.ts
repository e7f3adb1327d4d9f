import { Command } from 'commander'
import { optionGroups, trainSettings } from '../run/train-settings.js'
import type { FindRateRequest } from './find-rate-action.js'

/** The command `pmoe find-rate`. */
export function findRateCommand(): Command {
  const command = new Command('find-rate').description(
    'try growing learning rates for some steps, draw the loss, and suggest one for pmoe train',
  )
  for (const { option } of trainSettings) command.addOption(option)
  return command
    .optionsGroup(optionGroups.run)
    .option('--out <file>', 'where to draw the curve, as SVG (default: the next free learning-rate.svg)')
    .option('--json', 'write the tried rates and the suggestion as one JSON line')
    .addHelpText(
      'after',
      `
Takes the flags of pmoe train, of which --lr, the schedule and --epochs do not count. Nothing is trained: the network is
left as it was. The loss falls, is least, and runs away; a tenth of the rate at which it is least is suggested.

Example:
  $ pmoe find-rate --dataset image-folder --data photos --model wrn-pmoe`,
    )
    .action(async (options: FindRateRequest) => {
      const { runFindRate } = await import('./find-rate-action.js')
      await runFindRate(options)
    })
}
