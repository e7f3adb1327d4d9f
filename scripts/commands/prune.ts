import { Command, Option } from 'commander'
import { CRITERIA } from '../../src/prune/criteria.js'
import { COMPENSATIONS, PRUNING_OPERATORS } from '../../src/prune/operators.js'
import * as values from '../../src/run/setting-values.js'
import { optionParser, positiveInteger, seedNumber } from '../terminal/option-values.js'
import type { PruneRequest } from './prune-action.js'
import { backendOption } from './train.js'

/** The command `pmoe prune`. */
export function pruneCommand(): Command {
  return new Command('prune')
    .description('remove experts of a trained mixture: a smaller network as a run of its own')
    .argument('<run>', 'folder of the run')
    .option('--keep <count>', 'experts that stay, in each mixture', positiveInteger)
    .addOption(shareOption())
    .addOption(thresholdOption())
    .addOption(
      new Option(
        '--criterion <name>',
        'what experts are scored by; all compares the criteria and writes nothing',
      )
        .choices([...CRITERIA, 'all'])
        .default('router-norm'),
    )
    .option(
      '--reference <folder>',
      'what routers are compared with: folder of a run or a saved model, or initial, the start of the run itself (default: initial)',
    )
    .option('--layer <path>', 'the one mixture to prune (default: all of the network)')
    .addOption(
      new Option(
        '--operator <name>',
        'what becomes of the experts that go (default: what the layer allows)',
      ).choices(PRUNING_OPERATORS),
    )
    .addOption(
      new Option('--compensate <name>', 'what the layer behind gets for the channels that go')
        .choices(COMPENSATIONS)
        .default('none'),
    )
    .option('--data <folder>', "folder of your own files, where the run's has moved")
    .option('--fine-tune <epochs>', 'then train it so long, at a tenth of the learning rate', positiveInteger)
    .option('--seed <number>', "of random scores, drawn images and training (default: the run's)", seedNumber)
    .option('--out <folder>', 'folder of the new run')
    .option('--force', 'replace the run in --out')
    .addOption(backendOption())
    .option(
      '--json',
      'write one JSON object; with --fine-tune the events of the training as JSON lines before it',
    )
    .addHelpText(
      'after',
      `
Scores and means are taken from images of the run's training half, accuracy from its test half. What was removed, and
what that saves, is kept in pruning.json in --out.

Examples:
  $ pmoe prune runs/tuned --criterion all
  $ pmoe prune runs/tuned --keep 4 --fine-tune 5 --out runs/pruned
  $ pmoe prune runs/tuned --reference runs/pretrained --keep 4 --compensate mean --out runs/pruned`,
    )
    .action(async (run: string, request: PruneRequest) => {
      const { runPrune } = await import('./prune-action.js')
      await runPrune(run, request)
    })
}

function shareOption(): Option {
  return new Option('--ratio <share>', 'or the share of experts that go, in [0, 1)').argParser(
    optionParser(values.share),
  )
}

function thresholdOption(): Option {
  return new Option('--threshold <score>', 'or the score below which experts go').argParser(
    optionParser(values.anyNumber),
  )
}
