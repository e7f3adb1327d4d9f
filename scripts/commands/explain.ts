import { Command } from 'commander'
import { keptPatchesOption } from '../terminal/option-values.js'
import type { ExplainRequest } from './explain-action.js'
import { backendOption, plainModelOptions } from './train.js'

/** The command `pmoe explain`. */
export function explainCommand(): Command {
  const [classNames, inputScaling] = plainModelOptions()
  return new Command('explain')
    .description('show which patches of an image each expert kept, and how much each of them counts')
    .argument('<model>', 'folder of a run, or of a saved tfjs model, or a .keras or .h5 file of Keras')
    .argument(
      '[image...]',
      'image files, or folders of them; left out for model routed: six of the test images',
    )
    .option('--out <folder>', 'where the pictures and pages go', 'explained')
    .option('--no-sensitivity', 'do not remove patches one by one')
    .option('--force', 'replace the pictures of the same names in --out')
    .addOption(classNames)
    .addOption(inputScaling)
    .addOption(keptPatchesOption())
    .addOption(backendOption())
    .option('--json', 'write one JSON line an image')
    .addHelpText(
      'after',
      `
For each image --out gets a picture and a page; for several, index.html and experts.png, a sheet of the strongest
patches of each expert, as well. For model routed they show the image drawn small with a box around each patch that was
read, and the patches beside it at full resolution.

Example:
  $ pmoe explain runs/first photo.jpg --out explained`,
    )
    .action(async (model: string, images: string[], request: ExplainRequest) => {
      const { runExplain } = await import('./explain-action.js')
      await runExplain(model, images, request)
    })
}
