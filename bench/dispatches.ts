/**
 * Counts what a training step hands to a WebGPU device, by kernel: the tables of bench/NOTES.md.
 *
 *     npx tsx bench/dispatches.ts [--network wrn] [--optimizer momentum] [--kernels own] [--clip-norm 1] [--dawn backend=null]
 *
 * WRN-10-1, 32x32, batch 8, as `pmoe train` steps it. Dawn's null device computes nothing and counts as a card would: what the steps
 * after the first take there is the time to hand them over. On another one (`--dawn adapter=SwiftShader`) it is that of the steps.
 */
import * as tf from '@tensorflow/tfjs-core'
import { Command, Option } from 'commander'
import { textTable } from '../scripts/terminal/text-table.js'
import { provideWebGpu } from '../src/backend/dawn.js'
import { registerWebGpuKernels } from '../src/backend/webgpu/kernels.js'
import { lossOf } from '../src/train/loss.js'
import { createOptimizer } from '../src/train/optimizers/optimizer.js'
import type { OptimizerName } from '../src/train/optimizers/optimizer-options.js'
import { weightDecays } from '../src/train/optimizers/parameter-groups.js'
import { takeStep } from '../src/train/step.js'
import { countDispatches, totalOf } from './dispatch-counter.js'
import type { NetworkKind } from './jobs.js'
import { buildNetwork, noiseBatch } from './network.js'
import { networks } from './sections/training-numbers.js'

const stepped = ['sgd', 'momentum', 'adam', 'adamw'] as const

interface Options {
  readonly network: NetworkKind
  readonly optimizer: OptimizerName
  readonly kernels: 'own' | 'tfjs'
  readonly dawn: string
  readonly clipNorm?: number
  readonly side: number
  readonly steps: number
}

const { network, optimizer, kernels, dawn, clipNorm, side, steps } = new Command('dispatches')
  .addOption(new Option('--network <name>').choices(networks).default('wrn'))
  .addOption(new Option('--optimizer <name>').choices(stepped).default('momentum'))
  .addOption(
    new Option('--kernels <whose>', 'this library, or tfjs alone').choices(['own', 'tfjs']).default('own'),
  )
  .option('--dawn <option>', "Dawn's choice of a device", 'backend=null')
  .option('--clip-norm <norm>', 'greatest norm of all gradients together', Number)
  .option('--side <pixels>', 'of an image', Number, 32)
  .option('--steps <number>', 'counted or timed, after a first one', Number, 1)
  .parse()
  .opts<Options>()

const gpu = await provideWebGpu([dawn])
const adapter = await gpu?.requestAdapter()
await import('@tensorflow/tfjs-backend-webgpu')
await tf.setBackend('webgpu')
if (kernels === 'own') registerWebGpuKernels()

const setting = {
  size: side,
  batch: 8,
  classes: 10,
  widen: 1,
  experts: 4,
  keep: (side / 4) ** 2 / 4,
  patch: 1,
  kernel: 1,
}
const model = buildNetwork(network, setting)
const { images, labels } = noiseBatch(setting, setting.batch)
const batch = { inputs: [images], labels: new Int32Array(await labels.data()), count: setting.batch }
const options = { name: optimizer, learningRate: 0.01, ...(clipNorm !== undefined && { clipNorm }) }
const parts = {
  model,
  classifier: lossOf(model),
  optimizer: createOptimizer(options, model),
  weightDecays: weightDecays(model, options),
  clipNorm,
}
const losses = [(await takeStep(parts, batch)).loss]
const seconds: number[] = []
const processorSeconds: number[] = []
let counted = await countDispatches(async () => {})
for (let i = 0; i < steps; i++) {
  counted = await countDispatches(async () => {
    const [start, used] = [performance.now(), process.cpuUsage()]
    losses.push((await takeStep(parts, batch)).loss)
    seconds.push((performance.now() - start) / 1000)
    const { user, system } = process.cpuUsage(used)
    processorSeconds.push((user + system) / 1e6)
  })
}

const rows = [...counted.byKernel].sort(([, a], [, b]) => b - a).map(([name, count]) => [name, `${count}`])
console.log(textTable(['kernel', 'dispatches'], [...rows, ['all', `${totalOf(counted)}`]]))
console.log(
  `${network}, ${optimizer}, kernels of ${kernels === 'own' ? 'this library' : 'tfjs'}: ${counted.submits} submits a step`,
)
if (dawn.includes('null')) {
  console.log(`seconds of the processor to hand a step over: ${Math.min(...processorSeconds).toFixed(3)}`)
} else {
  const listed = (times: readonly number[]) => times.map(time => time.toFixed(3)).join(' ')
  console.log(`seconds a step: ${listed(seconds)} (${adapter?.info.description})`)
  console.log(`of the processor: ${listed(processorSeconds)}`)
  console.log(`losses: ${losses.join(' ')}`)
}
process.exit(0)
