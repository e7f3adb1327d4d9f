/**
 * Where the time of a training step goes on native TensorFlow, by operation: the tables of bench/NOTES.md.
 *
 *     npx tsx bench/profile.ts [--network wrn-pmoe] [--precision float32]
 *
 * The networks are those of section (b), 64x64, batch 16. Times are wall time in the operations that JavaScript calls, mean
 * over ten steps.
 */
import { Command, Option } from 'commander'
import { textTable } from '../scripts/terminal/text-table.js'
import { useBackend } from '../src/backend/choose.js'
import { PRECISIONS, type Precision, usePrecision } from '../src/backend/precision.js'
import { nativeBackend } from '../src/backend/tensorflow/operations.js'
import type { NetworkKind } from './jobs.js'
import { buildNetwork, noiseBatch, trainingStep } from './network.js'
import { fullSettings, networks } from './sections/training-numbers.js'

const steps = 10
const { network, precision } = new Command('profile')
  .addOption(new Option('--network <name>').choices(networks).default('wrn-pmoe'))
  .addOption(new Option('--precision <name>').choices(PRECISIONS).default('float32'))
  .parse()
  .opts<{ network: NetworkKind; precision: Precision }>()

await useBackend('tensorflow')
usePrecision(precision)
const setting = fullSettings[0]!
const batch = noiseBatch(setting, setting.batch)
const step = trainingStep(buildNetwork(network, setting))
for (let i = 0; i < 3; i++) await step(batch)

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
for (let i = 0; i < steps; i++) await step(batch)
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
