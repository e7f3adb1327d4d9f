import { Command, InvalidArgumentError, Option } from 'commander'
import { type MeasuredBackend, measuredBackends } from '../run/measuring/latency-jobs.js'
import { positiveInteger, positiveIntegers } from '../terminal/option-values.js'
import type { BenchRequest } from './bench-action.js'

/** The command `pmoe bench`. */
export function benchCommand(): Command {
  return new Command('bench')
    .description('measure how fast trained models predict, each measurement in a process of its own')
    .argument('<model...>', 'runs, saved tfjs LayersModels (model.json), ONNX files, folders of SavedModels')
    .addOption(
      new Option('--batch <sizes>', 'images at a time, by commas')
        .argParser(positiveIntegers)
        .default([1, 8, 32], '1,8,32'),
    )
    .option(
      '--backend <names>',
      `where to compute: ${measuredBackends.join(', ')} (default: those that this machine has, without cpu)`,
      backendList,
    )
    .option(
      '--threads <counts>',
      'threads: 1,2 (default: as many as there are processors; wasm has one)',
      positiveIntegers,
    )
    .option('--images <paths...>', 'images, or folders of them, to predict (default: noise)')
    .option('--rounds <count>', 'how often the processes take turns', positiveInteger, 3)
    .option(
      '--warm-up <count>',
      'predictions of a process before those that are timed; none begins after 3 s',
      positiveInteger,
      20,
    )
    .option('--runs <count>', 'timed predictions of a process; none begins after 3 s', positiveInteger, 20)
    .option('--out <folder>', 'write the numbers, the table and a picture there')
    .option('--force', 'replace the results in --out')
    .option('--json', 'write one JSON object')
    .addHelpText(
      'after',
      `
Of runs and saved models the layers, the frozen model (forInference) and the
exported ONNX file are measured; of the run of a mixture also the dense network
of the same configuration, with untrained weights, which are as fast as trained
ones. Times are from numbers in memory to outputs in memory. What cannot be
measured is named, the others stay, and the exit code is 1.

Examples:
  $ pmoe bench runs/first
  $ pmoe bench runs/first first-int8.onnx --batch 1,32 --threads 1,2 --out bench-first
  $ pmoe bench sparse.onnx dense.onnx --images photos`,
    )
    .action(async (models: string[], request: BenchRequest) => {
      const { runBench } = await import('./bench-action.js')
      await runBench(models, request)
    })
}

function backendList(text: string): MeasuredBackend[] {
  return text.split(',').map(name => {
    const known = measuredBackends.find(backend => backend === name.trim())
    if (known) return known
    throw new InvalidArgumentError(`It must list names of ${measuredBackends.join(', ')}, got ${name}.`)
  })
}
