import { Command, Option } from 'commander'
import { keptPatchesOption } from '../terminal/option-values.js'
import type { PredictRequest } from './predict-action.js'
import { backendOption, plainModelOptions } from './train.js'

/** The command `pmoe predict`. */
export function predictCommand(): Command {
  const [classNames, inputScaling] = plainModelOptions()
  return new Command('predict')
    .description('classify images with a trained model, and show which patches its experts kept')
    .argument('<model>', 'folder of a run, or of a saved tfjs model, or a .keras or .h5 file of Keras')
    .argument(
      '<image...>',
      'image files (JPEG, PNG, WebP, ...) or folders of them; stretched to the size that the model expects',
    )
    .addOption(classNames)
    .addOption(inputScaling)
    .addOption(keptPatchesOption())
    .addOption(backendOption())
    .option('--test-flips', 'see each image mirrored as well, and take the mean of both probabilities')
    .addOption(new Option('--json', 'write one JSON line an image').conflicts('csv'))
    .option('--csv', 'write a table of comma-separated values, one line an image, without the patches')
    .addHelpText(
      'after',
      `
Images that cannot be read are named on the error stream, the others are classified, and the exit code is 1.

Examples:
  $ pmoe predict runs/first photo.jpg another.png
  $ pmoe predict runs/first photos --csv > classes.csv
  $ pmoe predict runs/first photo.jpg --patches-per-expert 4
  $ pmoe predict models/mobilenet photo.jpg --class-names cat,dog`,
    )
    .action(async (model: string, images: string[], request: PredictRequest) => {
      const { runPredict } = await import('./predict-action.js')
      await runPredict(model, images, request)
    })
}
