import { Command } from 'commander'
import { pixelSize, positiveInteger } from '../terminal/option-values.js'
import type { PlanRequest } from './plan-action.js'
import { backendOption } from './train.js'

/** The command `pmoe plan`. */
export function planCommand(): Command {
  return new Command('plan')
    .description(
      'list the convolutions of a model, which of them a mixture can replace, and what it would save',
    )
    .argument('<model>', 'folder of a run, or of a saved tfjs LayersModel (model.json)')
    .option('--experts <count>', 'number of experts', positiveInteger, 4)
    .option(
      '--patches-per-expert <count>',
      'patches that each expert keeps (default: a quarter of each map)',
      positiveInteger,
    )
    .option('--patch-size <pixels>', 'side of a patch of the map: 2, or 2x4', pixelSize, 1)
    .option(
      '--measure',
      'measure the accuracy and time of a trained mixture, a run, over the patches that each expert keeps',
    )
    .option('--picture <file>', 'with --measure: also draw accuracy against time, as SVG')
    .addOption(backendOption())
    .option('--json', 'write one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  $ pmoe plan runs/dense --experts 8 --patch-size 2\n  $ pmoe plan runs/mixture --measure',
    )
    .action(async (path: string, request: PlanRequest) => {
      const { runPlan } = await import('./plan-action.js')
      await runPlan(path, request)
    })
}
