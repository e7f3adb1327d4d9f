import { Argument, Command } from 'commander'
import { datasets } from '../../../src/data/datasets/datasets.js'
import { datasetSettings } from '../../run/dataset-settings.js'
import { optionGroups } from '../../run/train-settings.js'
import { positiveInteger } from '../../terminal/option-values.js'
import type { PrepareRequest } from './prepare-action.js'

/** The command `pmoe data prepare`. */
export function dataPrepareCommand(): Command {
  const command = new Command('prepare')
    .description('decode or compose the images of a dataset once, and store them for fast training')
    .addArgument(new Argument('<dataset>', 'what to prepare').choices(datasets.map(({ name }) => name)))
    .optionsGroup(optionGroups.data)
    .option('--data <folder>', "folder of your own files, in the dataset's format")
  for (const option of datasetSettings) command.addOption(option)
  return command
    .option('--unscaled', 'for image-folder: images keep their size, as --model routed reads them')
    .optionsGroup(optionGroups.run)
    .requiredOption('--out <folder>', 'folder to fill: a new one, or one in which the same was begun')
    .option('--shard-records <count>', 'images a file (default: about 16 MiB of them)', positiveInteger)
    .option('--force', 'replace what was prepared in --out')
    .option('--json', 'write progress and result as JSON lines')
    .addHelpText(
      'after',
      `
Stopped by Ctrl-C, or killed, the same command goes on where it was. Train on the result with
pmoe train --dataset <dataset> --data <out>.

Examples:
  $ pmoe data prepare fashion-quadrants --out prepared/quadrants --samples 20000
  $ pmoe data prepare image-folder --data photos --unscaled --out prepared/photos
  $ pmoe data prepare cifar10 --data ~/cifar-10-batches-bin --out prepared/cifar10`,
    )
    .action(async (dataset: string, request: PrepareRequest) => {
      const { runPrepare } = await import('./prepare-action.js')
      await runPrepare(dataset, request)
    })
}
