import type { Command, Help, HelpConfiguration } from 'commander'
import { wrappedText } from './wrapped-text.js'

/** Columns that a description needs to stand beside its term; with fewer it stands below. */
const leastBeside = 40
const defaultWidth = 80
const indent = 6

/**
 * Lays out the help of a command, and of those that inherit its settings, so that no line is longer than the terminal
 * is wide and no word is broken.
 *
 * @param width of the terminal in columns; undefined where the output is no terminal
 */
export function layOutHelp(command: Command, width: () => number | undefined = terminalWidth): Command {
  const layout: HelpConfiguration = { minWidthToWrap: 20, formatItem }
  return command.configureHelp(layout).configureOutput({
    getOutHelpWidth: width as () => number,
    writeOut: text => process.stdout.write(wrappedText(text, width() ?? defaultWidth)),
    writeErr: text => process.stderr.write(process.stderr.isTTY ? wrappedText(text, errorWidth()) : text),
  })
}

function terminalWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns : undefined
}

function errorWidth(): number {
  return process.stderr.columns || defaultWidth
}

/** An option, argument or command: its description beside it, or below it on narrow terminals. */
function formatItem(this: Help, term: string, termWidth: number, description: string, helper: Help): string {
  const width = this.helpWidth ?? defaultWidth
  if (description === '') return `  ${term}`
  const beside = width - termWidth - 4
  if (beside >= leastBeside) {
    const lines = helper.boxWrap(description, beside)
    return `  ${term.padEnd(termWidth)}  ${lines.replaceAll('\n', `\n${' '.repeat(termWidth + 4)}`)}`
  }
  const lines = helper.boxWrap(description, width - indent)
  return `  ${term}\n${' '.repeat(indent)}${lines.replaceAll('\n', `\n${' '.repeat(indent)}`)}`
}
