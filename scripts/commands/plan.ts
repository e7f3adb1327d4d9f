import { Command, Option } from 'commander'
import { shareAboveZero } from '../../src/run/setting-values.js'
import { settingOption } from '../run/train-settings.js'
import { optionParser, pixelSize, positiveInteger } from '../terminal/option-values.js'
import type { PlanRequest } from './plan-action.js'
import { backendOption } from './train.js'

/** The command `pmoe plan`. */
export function planCommand(): Command {
  return new Command('plan')
    .description(
      'list the convolutions of a model, which of them a mixture can replace, and what it would save',
    )
    .argument('[model]', 'folder of a run, or of a saved tfjs LayersModel (model.json)')
    .option('--experts <count>', 'number of experts (default: 4; 1 with --model routed)', positiveInteger)
    .option(
      '--patches-per-expert <count>',
      'patches that each expert keeps (default: a quarter of each map; 10 with --model routed)',
      positiveInteger,
    )
    .option('--patch-size <pixels>', 'side of a patch of the map: 2, or 2x4 (default: 1)', pixelSize)
    .option(
      '--measure',
      'measure the accuracy and time of a trained mixture, a run, over the patches that each expert keeps',
    )
    .option('--images <count>', 'training images that there are, for what to expect', positiveInteger)
    .addOption(
      new Option('--data <folder>', 'folder of the labelled images, to count them').conflicts('images'),
    )
    .option(
      '--object-share <share>',
      "share of an image's area that the object fills, for what to expect: 0.1",
      optionParser(shareAboveZero),
    )
    .option('--picture <file>', 'with --measure: also draw accuracy against time, as SVG')
    .addOption(
      new Option(
        '--model <name>',
        'routed: in the place of a model, what reading large images in parts costs, with --image-size',
      ).choices(['routed']),
    )
    .addOption(settingOption('imageSize', { help: 'height and width of the large images: 3000x4000' }))
    .addOption(settingOption('cellSize', { byDefault: '64' }))
    .addOption(settingOption('viewScale', { byDefault: '8' }))
    .addOption(settingOption('margin'))
    .addOption(backendOption())
    .option('--json', 'write one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  $ pmoe plan runs/dense --experts 8 --patch-size 2\n  $ pmoe plan mobilenet --data photos --object-share 0.1\n  $ pmoe plan runs/mixture --measure\n' +
        '  $ pmoe plan --model routed --image-size 3000x4000',
    )
    .action(async (path: string | undefined, request: PlanRequest) => {
      const { runPlan } = await import('./plan-action.js')
      await runPlan(path, request)
    })
}
