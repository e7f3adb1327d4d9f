import type * as tfl from '@tensorflow/tfjs-layers'
import type { RunFolder } from '../../src/run/run-folder.js'
// Registers the layers that saved models are made of.
import '../../src/layers/batch-norm.js'
import '../../src/layers/input-scaling.js'
import '../../src/layers/moe/patch-experts.js'
import '../../src/layers/moe/patch-gate.js'
import '../../src/layers/moe/patch-moe.js'
import '../../src/layers/moe/sample-experts.js'
import '../../src/layers/moe/sample-moe.js'
import '../../src/layers/moe/two-layer-experts.js'
import { shellCommand } from '../../src/cluster/shell-command.js'

/**
 * Loads the model that a run has trained, on the current backend.
 *
 * @throws Error when the run has not ended yet, saying how to continue it, or when its model is damaged
 */
export async function loadTrained(run: RunFolder): Promise<tfl.LayersModel> {
  if (!(await run.hasModel())) {
    const resume = shellCommand(['pmoe', 'train', '--resume', '--out', run.directory])
    throw new Error(
      `${run.directory}: the run must have ended, got no model yet (continue it with: ${resume})`,
    )
  }
  return run.loadModel()
}
