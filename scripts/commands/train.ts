import { Command, Option } from 'commander'
import { clusterOptions, notedOptions, shareOption } from '../run/cluster/cluster-options.js'
import { optionGroups, settingOption, trainSettings } from '../run/train-settings.js'
import { withCacheOption } from '../terminal/cache-option.js'
import { positiveInteger, positiveNumber } from '../terminal/option-values.js'
import type { TrainRequest } from './train-action.js'

/** The command `pmoe train`. */
export function trainCommand(): Command {
  const command = new Command('train').description(
    'train a network on a dataset; everything of the run is kept in one folder',
  )
  for (const { option } of trainSettings) command.addOption(option)
  withCacheOption(command.optionsGroup(optionGroups.run))
    .option('--out <folder>', 'folder of the run (default: the next free one under runs/)')
    .option(
      '--resume',
      'continue the run in --out exactly where it stopped, to the last bit on the same backend with as many threads',
    )
    .option('--force', 'replace the run in --out')
    .option(
      '--seeds <count>',
      'train as many runs with seeds from --seed on, in folders of --out, and show mean and spread',
      positiveInteger,
    )
    .option(
      '--folds <count>',
      'train as many runs, each with another fold of the training images for validation, and show mean and spread',
      positiveInteger,
    )
    .option('--json', 'write the events of the training as JSON lines')
    .option(
      '--heartbeat <seconds>',
      'with several workers: how long one may be silent before all end (default: 10)',
      positiveNumber,
    )
    .option(
      '--start-timeout <seconds>',
      'with several workers: how long they wait for each other at the start (default: 300)',
      positiveNumber,
    )
  for (const option of [...clusterOptions(), shareOption()]) command.addOption(option)
  const words = notedOptions(command)
  return command
    .addHelpText(
      'after',
      `
What is not given comes from the recipe of the dataset and the model. Where TF_CONFIG names several workers, or the variables
of Slurm, Kubernetes or torchrun do, they train one run together; pmoe launch starts them on this machine.
With --cluster the runs of --seeds or --folds are trained by the tasks of a job, which share the folder; the one that ends
last writes the summary.

Examples:
  $ pmoe train --dataset fashion-quadrants --model wrn-pmoe --samples 500 --out runs/first
  $ pmoe train --resume --out runs/first
  $ pmoe train --dataset image-folder --data photos --model wrn --folds 5 --out runs/folds
  $ pmoe train --dataset image-folder --data photos --model wrn --seeds 8 --out /shared/seeds --cluster slurm --cluster-gpus 1
  $ pmoe train --dataset image-folder --data photos --init runs/dense --experts 4 --anneal-patches 64:16:5
  $ pmoe train --dataset cifar10 --data ~/cifar-10-batches-bin --model wrn-pmoe --experts 4 --patches-per-expert 16`,
    )
    .action(async (options: TrainRequest) => {
      const { runTrain } = await import('./train-action.js')
      await runTrain(options, words)
    })
}

/** The flag `--backend`, which several commands have. */
export function backendOption(): Option {
  return settingOption('backend')
}

/** The flags that say of a model what no run says: its classes, and how it takes pixels. */
export function plainModelOptions(): readonly [classNames: Option, inputScaling: Option] {
  return [
    new Option(
      '--class-names <names>',
      'classes of a saved model in the order of its outputs: cat,dog, or a file with one a line or a JSON array',
    ),
    settingOption('inputScaling', { help: 'how a saved model takes pixels' }),
  ]
}
