import { Format, Presets, SingleBar } from 'cli-progress'
import { printable } from '../../src/report/escape.js'
import { withControlCharacters } from './safe-output.js'

/**
 * The bar of one piece of work on a terminal.
 *
 * @param format as cli-progress has it
 */
export function progressBar(format: string, stream: NodeJS.WriteStream): SingleBar {
  const options = {
    format: (...[look, at, values]: Parameters<typeof Format.Formatter>) =>
      printable(Format.Formatter({ ...look, format }, at, values)),
    barsize: 24,
    fps: 8,
    hideCursor: true,
    stream: withControlCharacters(stream),
    // Ctrl-C is the command's to handle.
    gracefulExit: false,
  }
  return new SingleBar(options, Presets.rect)
}
