/**
 * Writes the result section of a text from the results of the studies: what lies between its two markers.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { writeFileAtomic } from '../src/files/atomic.js'
import { type CommittedResults, resultsSection, withSection } from './study-results/section.js'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Options {
  readonly results: string
  readonly file: string
}

async function write({ results, file }: Options): Promise<void> {
  const names = (await readdir(results, { withFileTypes: true }))
    .filter(entry => entry.isDirectory())
    .map(({ name }) => name)
  const studies = await Promise.all(
    names.map(async (name): Promise<CommittedResults> => {
      const path = join(results, name, 'results.json')
      return { ...(JSON.parse(await readFile(path, 'utf8')) as Omit<CommittedResults, 'name'>), name }
    }),
  )
  const text = await readFile(file, 'utf8')
  await writeFileAtomic(file, withSection(text, resultsSection(studies), file))
  console.log(`${file}: ${studies.length} studies`)
}

try {
  await new Command('study-results')
    .description('Writes what the studies found into a text, between its markers.')
    .option('--results <folder>', 'folder with a folder of each study', join(root, 'results'))
    .option('--file <path>', 'the text', join(root, 'docs/results.md'))
    .exitOverride()
    .action(write)
    .parseAsync()
} catch (error) {
  const isCommander = error instanceof CommanderError
  if (!isCommander) console.error(`study-results: ${(error as Error).message}`)
  process.exitCode = isCommander ? (error.exitCode === 0 ? 0 : 2) : 1
}
