/**
 * Draws faces and writes them as CelebA is, so that everything that takes CelebA runs without it.
 *
 * The attributes Smiling, Eyeglasses, Black_Hair, Blond_Hair, Brown_Hair, Gray_Hair and Wearing_Earrings are true of
 * the drawings. The art is DiceBear's styles lorelei (Lisa Wischofsky) and pixel-art (DiceBear), both CC0 1.0.
 */
import cliProgress from 'cli-progress'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { interruptedExitCode, onInterrupt } from '../scripts/terminal/interrupt.js'
import { positiveInteger, seedNumber } from '../scripts/terminal/option-values.js'
import { asUsage, UsageError } from '../scripts/terminal/usage-error.js'
import { type FacePlan, planFaces } from './drawn-faces/plan.js'
import { type LayoutName, layoutNames, writeFaces } from './drawn-faces/write.js'
import { mostZipFiles } from './drawn-faces/zip-writer.js'

interface Options extends FacePlan {
  readonly out: string
  readonly layout: LayoutName
}

function command(): Command {
  return new Command('drawn-faces')
    .description('Draws faces with exact attributes, in the files of CelebA.')
    .requiredOption('--out <folder>', 'folder to make; it must be empty or not there')
    .option('--count <faces>', 'faces in all', positiveInteger, 2000)
    .option('--smiling <share>', 'share of the faces that smile', share, 0.5)
    .option('--eyeglasses <share>', 'share that wears eyeglasses', share, 0.3)
    .option('--black <share>', 'share with black hair', share, 0.4)
    .option('--blond <share>', 'share with blond hair; the others are brown, grey or red', share, 0.4)
    .option('--validation <share>', 'share in the validation part', share, 0.1)
    .option('--test <share>', 'share in the test part', share, 0.1)
    .addOption(new Option('--layout <name>', 'how the files lie').choices(layoutNames).default('flat'))
    .option('--seed <number>', 'seed of everything random', seedNumber, 1)
    .addHelpText(
      'after',
      '\nExample:\n  $ npx tsx tools/drawn-faces.ts --out faces --count 10000 --layout zip',
    )
    .exitOverride()
    .action(draw)
}

async function draw(options: Options): Promise<void> {
  asUsage(() => planFaces(options))
  if (options.layout === 'zip' && options.count > mostZipFiles) {
    throw new UsageError(`--layout zip must have at most ${mostZipFiles} faces, got ${options.count}`)
  }
  const bar = new cliProgress.SingleBar({
    format: 'faces {value}/{total} | {rate}/s | {eta} s left',
    noTTYOutput: false,
    clearOnComplete: true,
  })
  const interrupt = onInterrupt(() => {})
  const start = performance.now()
  const seconds = (): number => (performance.now() - start) / 1000
  bar.start(options.count, 0, { rate: 0 })
  try {
    await writeFaces({
      ...options,
      signal: interrupt.signal,
      onImage: written => bar.update(written, { rate: Math.round(written / seconds()) }),
    })
  } finally {
    bar.stop()
    interrupt.release()
  }
  const rate = Math.round(options.count / seconds())
  console.log(`${options.count} faces in ${options.out} (${seconds().toFixed(1)} s, ${rate} images/s)`)
}

function share(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value >= 0 && value <= 1) return value
  throw new InvalidArgumentError('It must be a number in [0, 1].')
}

function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof DOMException && error.name === 'AbortError') {
    console.error('drawn-faces: stopped; nothing was left behind')
    return interruptedExitCode
  }
  console.error(`drawn-faces: ${error instanceof Error ? error.message : String(error)}`)
  return error instanceof UsageError ? 2 : 1
}

try {
  await command().parseAsync()
} catch (error) {
  process.exitCode = exitCode(error)
}
