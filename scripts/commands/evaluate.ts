import { Command } from 'commander'
import { keptPatchesOption } from '../terminal/option-values.js'
import type { EvaluateRequest } from './evaluate-action.js'
import { backendOption } from './train.js'

/** The command `pmoe evaluate`. */
export function evaluateCommand(): Command {
  return new Command('evaluate')
    .description('evaluate the trained model of a run on its test images')
    .argument('<run>', 'folder of the run')
    .option('--data <folder>', "folder of your own files, where the run's has moved")
    .addOption(keptPatchesOption())
    .addOption(backendOption())
    .option(
      '--routing-noise',
      'evaluate once more with the noise of training, of a model that sends whole samples to experts',
    )
    .option('--json', 'write one JSON object')
    .addHelpText('after', '\nExample:\n  $ pmoe evaluate runs/first')
    .action(async (run: string, request: EvaluateRequest) => {
      const { runEvaluate } = await import('./evaluate-action.js')
      await runEvaluate(run, request)
    })
}
