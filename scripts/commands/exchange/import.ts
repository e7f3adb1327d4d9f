import { Command, Option } from 'commander'
import { optionGroups, settingOption } from '../../run/train-settings.js'
import { positiveInteger } from '../../terminal/option-values.js'
import { backendOption } from '../train.js'
import type { ImportRequest } from './import-action.js'

/** The command `pmoe import`. */
export function importCommand(): Command {
  const command = new Command('import')
    .description('take a network or weights that were trained elsewhere, and save a tfjs LayersModel')
    .argument('<file>', 'Keras .keras, .h5 or .weights.h5, or .safetensors')
    .optionsGroup(optionGroups.network)
    .option('--into <model>', 'network for the weights: folder of a run, or of a saved tfjs LayersModel')
    .addOption(
      new Option('--model <name>', 'or a network to be built: wide residual, dense or a mixture').choices([
        'wrn',
        'wrn-pmoe',
      ]),
    )
  for (const option of networkOptions()) command.addOption(option)
  return command
    .optionsGroup(optionGroups.run)
    .requiredOption('--out <folder>', 'folder of the model to write')
    .option('--names <file>', 'JSON: layers of a PyTorch checkpoint -> layers of the network')
    .addOption(backendOption())
    .option('--force', 'replace the model in --out')
    .option('--json', 'write one JSON object')
    .addHelpText(
      'after',
      `
Without --into and --model the network is the one that a whole Keras model in .keras or .h5 describes. Layers of Keras
go by name where both networks call all of them alike, else in order by the shapes of their weights; safetensors by name.

Examples:
  $ pmoe import flowers.keras --out models/flowers
  $ pmoe import trained.weights.h5 --model wrn-pmoe --variant authors --image-size 32 --classes 10 --experts 4 --patches-per-expert 16 --patch-size 1 --out models/published
  $ pmoe import checkpoint.safetensors --names names.json --into runs/first --out models/from-torch`,
    )
    .action(async (file: string, request: ImportRequest) => {
      const { runImport } = await import('./import-action.js')
      await runImport(file, request)
    })
}

function networkOptions(): Option[] {
  return [
    settingOption('imageSize', { help: 'of the network to be built: 32, or 64x48' }),
    new Option('--channels <count>', 'of its images (default: 3)').argParser(positiveInteger),
    new Option(
      '--classes <count>',
      'outputs of the network; 1 for two classes that share one logit',
    ).argParser(positiveInteger),
    settingOption('depth', { help: '6n+4', byDefault: '10' }),
    settingOption('widenFactor', { byDefault: '10' }),
    settingOption('variant', {
      help: 'how its last block is a mixture',
      byDefault: 'authors, the published network',
    }),
    settingOption('numExperts', { help: 'number of experts of wrn-pmoe' }),
    settingOption('patchesPerExpert'),
    settingOption('patchSize', { help: 'side of a patch of the last map: 4, or 4x2' }),
    settingOption('kernelSize', { byDefault: '1 for 1x1 patches, else 3' }),
    settingOption('gate'),
    settingOption('gateScale'),
  ]
}
