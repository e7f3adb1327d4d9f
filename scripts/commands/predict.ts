import { Command } from 'commander'
import type { PredictRequest } from './predict-action.js'
import { backendOption } from './train.js'

/** The command `pmoe predict`. */
export function predictCommand(): Command {
  return new Command('predict')
    .description('classify images with the trained model of a run, and show which patches its experts kept')
    .argument('<run>', 'folder of the run')
    .argument('<image...>', 'image files: JPEG, PNG, WebP, ...; stretched to the size that the model expects')
    .addOption(backendOption())
    .option('--json', 'write one JSON line an image')
    .addHelpText('after', '\nExample:\n  $ pmoe predict runs/first photo.jpg another.png')
    .action(async (run: string, images: string[], request: PredictRequest) => {
      const { runPredict } = await import('./predict-action.js')
      await runPredict(run, images, request)
    })
}
