import { Command } from 'commander'
import { seedNumber } from '../terminal/option-values.js'
import type { DemoRequest } from './demo-action.js'
import { backendOption } from './train.js'

/** The command `pmoe demo`. */
export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'train two networks and their mixtures of experts on the sample images, and compare them in a report',
    )
    .addOption(backendOption())
    .option('--out <folder>', 'folder of the runs and the report (default: runs/demo, replaced each time)')
    .option('--force', 'replace the demo in --out')
    .option('--seed <number>', 'seed of everything random', seedNumber, 1)
    .option('--quick', 'train a tenth as long: everything is shown, nothing is learned well')
    .addHelpText('after', '\nExample:\n  $ pmoe demo --out runs/my-demo --seed 2')
    .action(async (request: DemoRequest) => {
      const { runDemo } = await import('./demo-action.js')
      await runDemo(request)
    })
}
