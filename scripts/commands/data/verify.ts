import { Command } from 'commander'
import { withCacheOption } from '../../terminal/cache-option.js'
import type { VerifyRequest } from './verify-action.js'

/** The command `pmoe data verify`. */
export function dataVerifyCommand(): Command {
  return withCacheOption(new Command('verify'))
    .description(
      'check every checksum, count and sum of a prepared folder, or of any folder of .tfrecord files',
    )
    .argument('<folder>', 'the folder, or its address (https://, s3://)')
    .option('--json', 'write one JSON object')
    .addHelpText('after', '\nExample:\n  $ pmoe data verify prepared/cifar10')
    .action(async (folder: string, request: VerifyRequest) => {
      const { runVerify } = await import('./verify-action.js')
      await runVerify(folder, request)
    })
}
