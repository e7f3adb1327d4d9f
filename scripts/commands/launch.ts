import { Command } from 'commander'
import { positiveInteger } from '../terminal/option-values.js'
import { asUsage, UsageError } from '../terminal/usage-error.js'

/** The flags of `pmoe launch`. */
interface LaunchRequest {
  readonly workers: number
  readonly hosts?: string
  readonly port?: number
}

/** `pmoe launch`: starts the workers of one training on this machine, or prints how they are started on several. */
export function launchCommand(): Command {
  return new Command('launch')
    .description('start several workers of one training on this machine, which train it together')
    .argument('<command...>', 'pmoe train and its flags, after --')
    .requiredOption('-n, --workers <count>', 'how many', positiveInteger)
    .option('--hosts <names>', 'print the commands for these machines, a,b, instead of starting anything')
    .option('--port <first>', 'with --hosts: the first port on each machine (default: 2222)', positiveInteger)
    .addHelpText(
      'after',
      `
Each worker computes a part of every batch: the numbers are those of one process with the same --batch-size. They talk on
free ports of 127.0.0.1. TensorFlow asks nobody for a password there: on several machines use a network that you trust.

Examples:
  $ pmoe launch -n 2 -- train --dataset fashion-quadrants --model wrn-pmoe --out runs/two
  $ pmoe launch -n 4 -- train --resume --out runs/two
  $ pmoe launch -n 4 --hosts gpu1,gpu2 -- train --dataset fashion-quadrants --model wrn-pmoe`,
    )
    .action(async (words: readonly string[], request: LaunchRequest) => {
      checkCommand(words)
      if (request.hosts === undefined) await startHere(words, request)
      else await printCommands(words, request, request.hosts)
    })
}

function checkCommand([command, ...flags]: readonly string[]): void {
  if (command !== 'train') {
    throw new UsageError(`launch: command must be train, got ${command} (pmoe launch -n 2 -- train ...)`)
  }
  // Each worker would submit the job, or take the same share.
  const flag = flags.find(each => /^--(cluster|share)(=|$)/.test(each))
  if (flag === undefined) return
  throw new UsageError(`launch: ${flag} must be left out, got workers that train one run together`)
}

async function startHere(words: readonly string[], { workers, port }: LaunchRequest): Promise<void> {
  if (port !== undefined) {
    throw new UsageError(`launch: --port must come with --hosts, got ${port} (free ports are taken here)`)
  }
  const { launch } = await import('../../src/cluster/launch.js')
  const { onInterrupt } = await import('../terminal/interrupt.js')
  const interrupt = onInterrupt(() => undefined)
  try {
    const { code } = await launch({
      workers,
      command: [process.execPath, ...process.execArgv, process.argv[1] as string, ...words],
      out: process.stdout,
      err: process.stderr,
      inheritsOutput: true,
      signal: interrupt.signal,
    })
    process.exitCode = code
  } finally {
    interrupt.release()
  }
}

/** The first port on each machine, where none is asked for. */
const FIRST_PORT = 2222

async function printCommands(
  words: readonly string[],
  { workers, port = FIRST_PORT }: LaunchRequest,
  hosts: string,
): Promise<void> {
  const names = hosts.split(',').map(name => name.trim())
  if (names.includes('') || workers % names.length !== 0) {
    throw new UsageError(
      `launch: --workers must be a multiple of the ${names.length} machines of --hosts, got ${workers} (${hosts})`,
    )
  }
  const { tfConfig } = await import('../../src/cluster/launch.js')
  const { clusterSpec } = await import('../../src/cluster/cluster-spec.js')
  const { shellCommand } = await import('../../src/cluster/shell-command.js')
  const perHost = workers / names.length
  const addresses = names.flatMap(name => Array.from({ length: perHost }, (_, i) => `${name}:${port + i}`))
  for (const [index, address] of addresses.entries()) {
    const config = tfConfig(addresses, index)
    // It is read back, so that a wrong name is told here and not on every machine.
    asUsage(() => clusterSpec({ TF_CONFIG: config }))
    process.stdout.write(
      `# worker ${index}, on ${address.slice(0, address.lastIndexOf(':'))}\n` +
        `TF_CONFIG=${shellCommand([config])} ${shellCommand(['pmoe', ...words])}\n`,
    )
  }
}
