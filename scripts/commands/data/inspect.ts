import { Command, Option } from 'commander'
import { datasets } from '../../../src/data/datasets/datasets.js'
import { augmentationOptions, datasetSettings } from '../../run/dataset-settings.js'
import { optionGroups } from '../../run/train-settings.js'
import { withCacheOption } from '../../terminal/cache-option.js'
import type { DataInspectRequest } from './inspect-action.js'

/** The command `pmoe data inspect`. */
export function dataInspectCommand(): Command {
  const command = new Command('inspect')
    .description('count the images of a dataset by class and group, and draw a contact sheet of them')
    .argument('[folder]', 'a prepared folder or its address (https://, s3://), or your files')
    .optionsGroup(optionGroups.data)
    .addOption(
      new Option('--dataset <name>', 'what to make of the files').choices(datasets.map(({ name }) => name)),
    )
    .option('--data <folder>', "folder of your own files, in the dataset's format")
  for (const option of datasetSettings) command.addOption(option)
  command.optionsGroup(optionGroups.augmentation)
  for (const option of augmentationOptions) command.addOption(option)
  return withCacheOption(command.optionsGroup(optionGroups.run))
    .option('--out <file>', 'the contact sheet, a PNG file (default: sheet-<dataset>.png)')
    .option('--no-sheet', 'draw none')
    .option('--json', 'write one JSON object')
    .addHelpText(
      'after',
      `
With flags of augmentation the sheet shows training images as training sees them: a row for each image, as it is and in seven
epochs.

Examples:
  $ pmoe data inspect prepared/cifar10
  $ pmoe data inspect ~/photos --out photos.png
  $ pmoe data inspect --dataset fashion-quadrants --samples 200
  $ pmoe data inspect ~/photos --augment light --rotate 15`,
    )
    .action(async (folder: string | undefined, request: DataInspectRequest) => {
      const { runDataInspect } = await import('./inspect-action.js')
      await runDataInspect(folder, request)
    })
}
