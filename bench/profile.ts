/**
 * Where the time of a training step goes on native TensorFlow, by operation: the tables of bench/NOTES.md.
 *
 *     npx tsx bench/profile.ts [--network wrn-pmoe] [--precision float32] [--size 512]
 *
 * The networks are those of section (b), 64x64, batch 16, and `routed` and `dense` of section (r), of `--size`, batch 8. Times are
 * wall time in the operations that JavaScript calls, mean over ten steps.
 */
import { Command, Option } from 'commander'
import { textTable } from '../scripts/terminal/text-table.js'
import { useBackend } from '../src/backend/choose.js'
import { PRECISIONS, type Precision, usePrecision } from '../src/backend/precision.js'
import { nativeBackend } from '../src/backend/tensorflow/operations.js'
import type { NetworkKind, RoutedJob } from './jobs.js'
import { buildNetwork, noiseBatch, trainingStep } from './network.js'
import { fullSettings, networks } from './sections/training-numbers.js'
import { routedSteps } from './workloads/routed.js'

const steps = 10
const routed = ['routed', 'dense'] as const
const { network, precision, size } = new Command('profile')
  .addOption(new Option('--network <name>').choices([...networks, ...routed]).default('wrn-pmoe'))
  .addOption(new Option('--precision <name>').choices(PRECISIONS).default('float32'))
  .option('--size <pixels>', 'side of the images of routed and dense', Number, 512)
  .parse()
  .opts<{ network: NetworkKind | RoutedJob['network']; precision: Precision; size: number }>()

await useBackend('tensorflow')
usePrecision(precision)
const step = stepOf(network)
for (let i = 0; i < 3; i++) await step()

const { binding } = nativeBackend()
const calls = new Map<string, { count: number; milliseconds: number }>()
const executeOp: typeof binding.executeOp = (...args) => {
  const start = performance.now()
  const outputs = binding.executeOp(...args)
  const { count, milliseconds } = calls.get(args[0]) ?? { count: 0, milliseconds: 0 }
  calls.set(args[0], { count: count + 1, milliseconds: milliseconds + performance.now() - start })
  return outputs
}
// The binding's own functions cannot be replaced.
Object.assign(nativeBackend(), { binding: Object.create(binding, { executeOp: { value: executeOp } }) })
const start = performance.now()
for (let i = 0; i < steps; i++) await step()
const whole = (performance.now() - start) / steps

const inOperations = [...calls.values()].reduce((sum, { milliseconds }) => sum + milliseconds, 0) / steps
const rows = [...calls]
  .sort(([, a], [, b]) => b.milliseconds - a.milliseconds)
  .map(([name, { count, milliseconds }]) => [name, `${count / steps}`, (milliseconds / steps).toFixed(1)])
console.log(
  textTable(
    ['operation', 'calls', 'ms'],
    [...rows, ['all operations', '', inOperations.toFixed(0)], ['the step', '', whole.toFixed(0)]],
  ),
)

function stepOf(kind: typeof network): () => Promise<unknown> {
  if (kind === 'routed' || kind === 'dense') {
    return routedSteps({ network: kind, size, batch: 8, classes: 10, cell: 32, keep: 10 }).step
  }
  const setting = fullSettings[0]!
  const batch = noiseBatch(setting, setting.batch)
  const take = trainingStep(buildNetwork(kind, setting))
  return () => take(batch)
}
