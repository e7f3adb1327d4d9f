import { Command, Option } from 'commander'
import { optionParser } from '../../terminal/option-values.js'
import { backendOption, plainModelOptions } from '../train.js'
import type { ExploreRequest } from './explore-action.js'

/** The command `pmoe explore`. */
export function exploreCommand(): Command {
  const [classNames, inputScaling] = plainModelOptions()
  return new Command('explore')
    .description(
      'look into a trained network in the browser: its layers, its experts, and what it says of images',
    )
    .argument('<model>', 'folder of a run, or of a saved tfjs model, or a .keras or .h5 file of Keras')
    .argument(
      '[image...]',
      'image files, or folders of them, one folder a class for a confusion matrix (default: the test images of the run)',
    )
    .option('--compare <model>', 'a second run or model, shown beside the first')
    .option('--data <folder>', "folder of your own files, where the run's has moved")
    .addOption(portOption())
    .addOption(classNames)
    .addOption(inputScaling)
    .addOption(backendOption())
    .option('--json', 'write the address as one JSON object')
    .addHelpText(
      'after',
      `
The page is served to this computer alone, under the address that is written, until Ctrl-C. It can be given more images;
nothing leaves the computer, and no file of the run is changed.

Examples:
  $ pmoe explore runs/first
  $ pmoe explore runs/first photos --compare runs/dense
  $ pmoe explore models/mobilenet photos --class-names cat,dog --port 8080`,
    )
    .action(async (model: string, images: string[], request: ExploreRequest) => {
      const { runExplore } = await import('./explore-action.js')
      await runExplore(model, images, request)
    })
}

function portOption(): Option {
  return new Option('--port <number>', 'of the address (default: a free one)').argParser(
    optionParser({
      read(text: string): number {
        const port = Number(text)
        if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port
        throw new RangeError(`must be an integer in [1, 65535], got ${text}`)
      },
    }),
  )
}
