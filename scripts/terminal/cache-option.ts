import { resolve } from 'node:path'
import { type Command, Option } from 'commander'

/**
 * Gives a command the flag `--cache`: it says to this process, and to those that it starts, where parts of data at an address are kept.
 */
export function withCacheOption(command: Command): Command {
  const option = new Option(
    '--cache <folder>',
    'folder that keeps what was read from an address (default: $PMOE_CACHE, else ~/.cache/patch-moe/storage)',
  )
  return command.addOption(option).hook('preAction', () => {
    const folder = command.getOptionValue(option.attributeName())
    if (typeof folder === 'string') process.env.PMOE_CACHE = resolve(folder)
  })
}
