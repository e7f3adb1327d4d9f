import { Argument, Command } from 'commander'
import { publishedDatasets } from '../../../src/data/datasets/downloads.js'
import type { DataFetchRequest } from './fetch-action.js'

/** The command `pmoe data fetch`. */
export function dataFetchCommand(): Command {
  return new Command('fetch')
    .description('download a dataset from its publisher: continued when interrupted, checked, unpacked whole')
    .addArgument(
      new Argument('<name>', 'what to download').choices(publishedDatasets.map(({ name }) => name)),
    )
    .requiredOption('--out <folder>', 'folder that gets the files')
    .option('--from <place>', 'another address, or a folder or file on this disk, that has the same files')
    .option('--force', 'replace what is in their places')
    .option('--json', 'write one JSON object')
    .addHelpText(
      'after',
      `
Publishers:
${publishedDatasets.map(({ name, sources, licence }) => `  ${name.padEnd(14)} ${new URL(sources[0] as string).host} (licence: ${licence})`).join('\n')}

Examples:
  $ pmoe data fetch cifar10 --out data
  $ pmoe data fetch cifar10 --from ~/Downloads/cifar-10-binary.tar.gz --out data`,
    )
    .action(async (name: string, request: DataFetchRequest) => {
      const { runDataFetch } = await import('./fetch-action.js')
      await runDataFetch(name, request)
    })
}
