import { Presets, SingleBar } from 'cli-progress'

/**
 * The bar of one piece of work on a terminal.
 *
 * @param format as cli-progress has it
 */
export function progressBar(format: string, stream: NodeJS.WriteStream): SingleBar {
  // Ctrl-C is the command's to handle.
  const options = { format, barsize: 24, fps: 8, hideCursor: true, stream, gracefulExit: false }
  return new SingleBar(options, Presets.rect)
}
