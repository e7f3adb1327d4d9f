/** `npm run bench`: measures, and writes bench/RESULTS.md. */
import { fileURLToPath } from 'node:url'
import { CommanderError } from 'commander'
import { runChild } from '../scripts/run/measuring/child-process.js'
import { writeFileAtomic } from '../src/files/atomic.js'
import { bench } from './bench.js'
import { letters } from './bench-result.js'
import { type BenchOptions, parseOptions } from './options.js'
import { renderMarkdown } from './render.js'

const results = fileURLToPath(new URL('./RESULTS.md', import.meta.url))

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  const result = await bench(options, runChild, line => console.error(line))
  const page = renderMarkdown(result)
  const out = outputOf(options)
  if (options.json !== undefined) await writeFileAtomic(options.json, `${JSON.stringify(result, null, 1)}\n`)
  if (out !== undefined) await writeFileAtomic(out, page)
  console.log(out === undefined ? page : `Written to ${out}`)
  for (const failure of result.failures) console.error(`bench: ${failure}`)
  return result.failures.length === 0 ? 0 : 1
}

/** The file for the tables; a run of some workloads, or of tiny ones, does not overwrite the results of a whole run. */
function outputOf({ out, only, quick }: BenchOptions): string | undefined {
  return out ?? (quick || only.size < letters.length ? undefined : results)
}

// An end by `process.exit` stops the measuring process too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof CommanderError)) console.error(`bench: ${(error as Error).message}`)
  process.exitCode = error instanceof CommanderError ? (error.exitCode === 0 ? 0 : 2) : 1
}
