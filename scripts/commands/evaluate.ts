import { Command } from 'commander'
import { settingOption } from '../run/train-settings.js'
import { keptPatchesOption, openShare } from '../terminal/option-values.js'
import type { EvaluateRequest } from './evaluate-action.js'
import { backendOption, plainModelOptions } from './train.js'

/** The command `pmoe evaluate`. */
export function evaluateCommand(): Command {
  const [classNames, inputScaling] = plainModelOptions()
  return new Command('evaluate')
    .description('evaluate a trained model on the test images of its run, or on a folder of labelled images')
    .argument('<model>', 'folder of a run, or of a saved tfjs model, or a .keras or .h5 file of Keras')
    .argument('[folder]', 'images to evaluate on, one folder a class, named as the classes')
    .option('--report <folder>', 'write a page, pictures and tables into this folder')
    .option('--force', 'replace the report in --report')
    .option('--data <folder>', "folder of your own files, where the run's has moved")
    .option(
      '--validation <folder>',
      'images to choose thresholds and a temperature on, one folder a class (default: those of the run, if any)',
    )
    .option(
      '--precision <share>',
      'thresholds of at least this precision: 0.95 (default: the best F1)',
      openShare,
    )
    .addOption(classNames)
    .addOption(inputScaling)
    .addOption(settingOption('maxUnreadable'))
    .addOption(keptPatchesOption())
    .addOption(backendOption())
    .option(
      '--routing-noise',
      'evaluate once more with the noise of training, of a model that sends whole samples to experts',
    )
    .option('--test-flips', 'see each image mirrored as well, and take the mean of both probabilities')
    .option('--json', 'write one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  $ pmoe evaluate runs/first
  $ pmoe evaluate runs/first --report report
  $ pmoe evaluate runs/first ~/new-photos --report report
  $ pmoe evaluate models/mobilenet photos --class-names cat,dog`,
    )
    .action(async (model: string, folder: string | undefined, request: EvaluateRequest) => {
      const { runEvaluate } = await import('./evaluate-action.js')
      await runEvaluate(model, folder, request)
    })
}
