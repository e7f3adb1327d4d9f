import { Command, InvalidArgumentError, Option } from 'commander'
import { type BackendName, backendNames } from '../src/backend/backends.js'
import { type Letter, letters } from './bench-result.js'

/** What the user asked the benchmark for. */
export interface BenchOptions {
  readonly backend: BackendName | 'auto'
  readonly only: ReadonlySet<Letter>
  readonly quick: boolean
  /** Rounds of processes that take turns. */
  readonly repeats?: number
  /** Folder of the peers' environment. */
  readonly peers?: string
  /** File for everything that was measured. */
  readonly json?: string
  /** File for the tables. */
  readonly out?: string
}

/** The command line of the benchmark; it throws instead of ending the process. */
export function benchCommand(): Command {
  return new Command('bench')
    .description('Measures speed and memory, and writes the tables of bench/RESULTS.md.')
    .option('--only <letters>', `workloads to measure: ${letters.join(',')}`, parseLetters)
    .addOption(
      new Option('--backend <name>', 'where to compute; workload e takes all of them')
        .choices(['auto', ...backendNames])
        .default('auto'),
    )
    .option(
      '--repeats <rounds>',
      'rounds of the processes that take turns: b, c, e, g, h, n, q, r',
      parseRepeats,
    )
    .option('--peers <folder>', 'measure the peers too: a folder made by bench/peers/setup.sh')
    .option('--quick', 'tiny sizes and few rounds: shows that everything runs, measures nothing', false)
    .option('--json <file>', 'write everything that was measured')
    .option('--out <file>', 'where the tables go: bench/RESULTS.md, or the terminal with --only or --quick')
    .exitOverride()
}

/**
 * Reads the command line.
 *
 * @throws CommanderError for a call that cannot work, when the message is written, and for --help
 */
export function parseOptions(args: readonly string[], command: Command = benchCommand()): BenchOptions {
  const { only, ...others } = command.parse(args, { from: 'user' }).opts<BenchOptions>()
  if (only?.has('c') && others.peers === undefined) {
    command.error('error: --only c must come with --peers, got none (bash bench/peers/setup.sh FOLDER)')
  }
  return { ...others, only: only ?? new Set(letters) }
}

/** The command line as it can be repeated on another machine: paths are written as DIR and FILE. */
export function commandText({ backend, only, quick, repeats, peers, json, out }: BenchOptions): string {
  const flags = [
    ...(only.size < letters.length ? [`--only ${[...only].join(',')}`] : []),
    ...(backend === 'auto' ? [] : [`--backend ${backend}`]),
    ...(repeats === undefined ? [] : [`--repeats ${repeats}`]),
    ...(peers === undefined ? [] : ['--peers DIR']),
    ...(quick ? ['--quick'] : []),
    ...(json === undefined ? [] : ['--json FILE']),
    ...(out === undefined ? [] : ['--out FILE']),
  ]
  return ['npm run bench', ...(flags.length > 0 ? ['--'] : []), ...flags].join(' ')
}

function parseLetters(text: string): ReadonlySet<Letter> {
  const requested = text.split(',').map(letter => letter.trim())
  const wrong = requested.find(letter => !letters.some(valid => valid === letter))
  if (wrong === undefined) return new Set(letters.filter(letter => requested.includes(letter)))
  throw new InvalidArgumentError(
    `It must list letters of ${letters.join(',')}, got ${JSON.stringify(wrong)}.`,
  )
}

function parseRepeats(text: string): number {
  const repeats = Number(text)
  if (Number.isInteger(repeats) && repeats >= 1) return repeats
  throw new InvalidArgumentError(`It must be a positive integer, got ${JSON.stringify(text)}.`)
}
