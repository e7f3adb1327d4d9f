import { Command, CommanderError } from 'commander'
import { benchCommand } from './commands/bench.js'
import { boundCommand } from './commands/bound.js'
import { dataCommand } from './commands/data.js'
import { demoCommand } from './commands/demo.js'
import { doctorCommand } from './commands/doctor.js'
import { evaluateCommand } from './commands/evaluate.js'
import { exportCommand } from './commands/exchange/export.js'
import { importCommand } from './commands/exchange/import.js'
import { explainCommand } from './commands/explain.js'
import { exploreCommand } from './commands/explore/explore.js'
import { findRateCommand } from './commands/find-rate.js'
import { launchCommand } from './commands/launch.js'
import { nativeCommand } from './commands/native.js'
import { planCommand } from './commands/plan.js'
import { predictCommand } from './commands/predict.js'
import { pruneCommand } from './commands/prune.js'
import { studyCommand } from './commands/study.js'
import { trainCommand } from './commands/train.js'
import { layOutHelp } from './terminal/help-layout.js'
import { packageVersion } from './terminal/package-version.js'
import { errorText } from './terminal/safe-output.js'
import { UsageError } from './terminal/usage-error.js'

/** The whole command line, with commands that do nothing before they are called. */
export function program(): Command {
  const root = layOutHelp(new Command('pmoe'))
    .description('Patch-level mixture-of-experts for image classification, on TensorFlow.js.')
    .version(packageVersion())
    .showHelpAfterError('(pmoe --help lists the commands)')
    .addHelpText('after', '\nExample:\n  $ pmoe demo')
  const commands = [
    demoCommand(),
    trainCommand(),
    launchCommand(),
    findRateCommand(),
    evaluateCommand(),
    predictCommand(),
    explainCommand(),
    exploreCommand(),
    boundCommand(),
    exportCommand(),
    importCommand(),
    planCommand(),
    benchCommand(),
    pruneCommand(),
    doctorCommand(),
    nativeCommand(),
    dataCommand(),
    studyCommand(),
  ]
  for (const command of commands) {
    adopt(command, root)
    root.addCommand(command)
  }
  suggestInHelp(root)
  return root.exitOverride()
}

/** Lets `help` treat a command that there is not as a call of it is treated, with a suggestion, instead of showing its own help. */
function suggestInHelp(command: Command): void {
  if (command.commands.length === 0) return
  command.helpCommand(false)
  const help = new Command('help')
    .argument('[command...]')
    .description('display help for command')
    .action(async (names: readonly string[]) => {
      let named = command
      for (const name of names) {
        const inner = named.commands.find(each => each !== help && each.name() === name)
        if (!inner) await named.parseAsync([name], { from: 'user' })
        named = inner ?? named
      }
      named.help()
    })
  command.addCommand(help.copyInheritedSettings(command).exitOverride())
}

/** Gives a command, and what it groups, the settings of the whole. */
function adopt(command: Command, parent: Command, above = parent.name()): void {
  const words = `${above} ${command.name()}`
  command
    .copyInheritedSettings(parent)
    .exitOverride()
    .showHelpAfterError(`(see ${words} --help)`)
    // The flag of help stands in the last group of a command's flags.
    .helpOption('-h, --help', 'display help for command')
  requireOptions(command)
  suggestInHelp(command)
  for (const inner of command.commands) adopt(inner, command, words)
}

/**
 * Shows the options that a command must be given where it is told how to call it, and asks for them once the others are
 * known: one that is misspelt would otherwise be told of as missing.
 */
function requireOptions(command: Command): void {
  const required = command.options.filter(({ mandatory }) => mandatory)
  if (required.length === 0) return
  command.usage([...required.map(({ flags }) => flags), command.usage()].join(' '))
  for (const option of required) option.makeOptionMandatory(false)
  command.hook('preAction', () => {
    const missing = required.filter(option => command.getOptionValue(option.attributeName()) === undefined)
    if (missing.length === 0) return
    const flags = missing.map(option => `'${option.flags}'`).join(' and ')
    command.error(`error: required option${missing.length > 1 ? 's' : ''} ${flags} not specified`)
  })
}

/**
 * The exit code for what a command threw: 0 for help, 2 for a call that cannot work, 1 for a failure. The message goes
 * to the error stream, with its stack only where `PMOE_DEBUG=1` is set.
 */
export function exitCodeOf(error: unknown): number {
  // Commander has written its message already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  const message = error instanceof Error ? error.message : String(error)
  const debug = process.env.PMOE_DEBUG === '1' && error instanceof Error
  process.stderr.write(`pmoe: ${debug ? error.stack : errorText(message)}\n`)
  if (debug && error.cause !== undefined) console.error('caused by', error.cause)
  return error instanceof UsageError ? 2 : 1
}
