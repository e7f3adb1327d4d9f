/**
 * Makes a folder of 12-megapixel JPEG photographs of two classes, to try models for large images on: a small thing, a bag or a
 * sneaker of fashion-mini, lies somewhere on an out-of-focus background, a plant of plants32 and noise. Of ten photographs one is grey,
 * and three lie on their side with the EXIF tag that says so; one file more is broken.
 *
 *     npx tsx tools/pasted-photographs.ts --out photos [--count 200] [--things 1] [--side 110] [--seed 1]
 */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import sharp, { type OverlayOptions, type Sharp } from 'sharp'
import { positiveInteger, seedNumber } from '../scripts/terminal/option-values.js'
import { UsageError } from '../scripts/terminal/usage-error.js'
import { articles } from '../src/data/datasets/fashion.js'
import { loadIdx } from '../src/data/formats/idx.js'
import type { PixelSet } from '../src/data/image-set.js'
import { samplesFolder } from '../src/files/data-folder.js'
import { type Random, random } from '../src/random.js'

const [height, width] = [3000, 4000]
/** Classes of fashion-mini, by their numbers there. */
const classes = { bag: 8, sneaker: 7 } as const
const plantSide = 32

interface Options {
  readonly out: string
  /** Photographs of both classes together. */
  readonly count: number
  /** Things on each. */
  readonly things: number
  /** Mean side of a thing, in pixels; it varies by a fifth. */
  readonly side: number
  readonly seed: number
}

async function write({ out, count, things, side, seed }: Options): Promise<void> {
  if (existsSync(out)) throw new UsageError(`--out must not be there yet, got ${out}`)
  const pool = await loadIdx(samplesFolder('fashion-mini'), 'train', articles)
  const noise = await noiseTile()
  for (const [name, label] of Object.entries(classes)) {
    await mkdir(join(out, name), { recursive: true })
    const ofClass = [...pool.labels.keys()].filter(i => pool.labels[i] === label)
    for (let number = 0; number < Math.ceil(count / 2); number++) {
      const source = random(seed, `${name} ${number}`)
      const chosen = Array.from({ length: things }, (_, i) => ofClass[(number * things + i) % ofClass.length])
      const overlays = await Promise.all(
        chosen.map(i => pastedThing(pool, i as number, side * (0.8 + 0.4 * source.next()), source)),
      )
      const photograph = (await background(source)).composite([noise, ...overlays])
      await writeFile(join(out, name, `${number}.jpg`), await asFile(photograph, number % 10))
    }
  }
  await writeFile(join(out, 'bag', 'broken.jpg'), Buffer.from('ffd8ffe000104a464946', 'hex'))
}

/** A part of a plant, so enlarged that only its colours are left. */
async function background(source: Random): Promise<Sharp> {
  const plants = samplesFolder('plants32')
  const file = sharp(await plants.read('train.png'))
  const { width: across = plantSide, height: down = plantSide } = await file.metadata()
  const area = {
    left: plantSide * source.below(Math.floor(across / plantSide)),
    top: plantSide * source.below(Math.floor(down / plantSide)),
    width: plantSide / 4,
    height: plantSide / 4,
  }
  const colours = await file.extract(area).removeAlpha().toColourspace('srgb').png().toBuffer()
  return sharp(await sharp(colours).resize(width, height, { fit: 'fill', kernel: 'cubic' }).toBuffer())
}

/** The noise of a sensor, laid over all of a photograph. */
async function noiseTile(): Promise<OverlayOptions> {
  const side = 500
  const noise = { type: 'gaussian', mean: 128, sigma: 8 } as const
  const create = { width: side, height: side, channels: 3, background: '#808080', noise } as const
  return { input: await sharp({ create }).png().toBuffer(), tile: true, blend: 'soft-light' }
}

/** One article in a colour of its own, its background cut away, anywhere on the photograph. */
async function pastedThing(
  { images, shape: [rows, columns] }: PixelSet,
  number: number,
  side: number,
  source: Random,
): Promise<OverlayOptions> {
  const colour = Array.from({ length: 3 }, () => 0.4 + 0.6 * source.next())
  const grey = images.subarray(number * rows * columns, (number + 1) * rows * columns)
  const pixels = Uint8Array.from({ length: grey.length * 4 }, (_, i) => {
    const value = grey[Math.floor(i / 4)] as number
    return i % 4 === 3 ? (value > 12 ? 255 : 0) : value * (colour[i % 4] as number)
  })
  const raw = { width: columns, height: rows, channels: 4 } as const
  const pixelSide = Math.round(side)
  const input = await sharp(pixels, { raw }).resize(pixelSide, pixelSide).png().toBuffer()
  return { input, left: source.below(width - pixelSide), top: source.below(height - pixelSide) }
}

/** As cameras write files: upright, grey, or on their side with a tag that says how to turn them. */
async function asFile(photograph: Sharp, kind: number): Promise<Buffer> {
  const quality = { quality: 88 } as const
  if (kind === 0)
    return sharp(await photograph.png({ compressionLevel: 0 }).toBuffer())
      .greyscale()
      .jpeg(quality)
      .toBuffer()
  const jpeg = await photograph.jpeg(quality).toBuffer()
  if (kind > 3) return jpeg
  return sharp(jpeg).rotate(-90).withMetadata({ orientation: 6 }).jpeg(quality).toBuffer()
}

try {
  await new Command('pasted-photographs')
    .description('Makes a folder of 12-megapixel photographs of two classes of small things.')
    .requiredOption('--out <folder>', 'folder to make')
    .option('--count <photographs>', 'photographs of both classes together', positiveInteger, 200)
    .option('--things <count>', 'things on each', positiveInteger, 1)
    .option('--side <pixels>', 'mean side of a thing', positiveInteger, 110)
    .option('--seed <number>', 'seed of everything random', seedNumber, 1)
    .exitOverride()
    .action(write)
    .parseAsync()
} catch (error) {
  const isCommander = error instanceof CommanderError
  if (!isCommander) console.error(`pasted-photographs: ${(error as Error).message}`)
  process.exitCode = isCommander ? (error.exitCode === 0 ? 0 : 2) : error instanceof UsageError ? 2 : 1
}
