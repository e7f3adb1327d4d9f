/**
 * Draws docs/patches.png, the picture of the README: one test image of each class, and below it the patches that the experts of a
 * trained run kept of it. Where there is no run, it trains one, which takes some minutes on two cores.
 *
 * Usage: npx tsx tools/patches-picture.ts [RUN] [--out FILE]
 */
import { existsSync } from 'node:fs'
import { Command } from 'commander'
import sharp from 'sharp'
import { program } from '../scripts/program.js'
import { openModel } from '../scripts/run/opened-model.js'
import { loadData } from '../scripts/run/run-data.js'
import { useBackend } from '../src/backend/choose.js'
import type { ImageSet } from '../src/data/image-set.js'
import { type Explanations, explain } from '../src/explain/explain.js'
import type { KeptPatches } from '../src/report/routing-figure.js'
import { cellRectangle } from '../src/report/routing-figure.js'
import type { Size2D } from '../src/shapes.js'

const TILE_PX = 232
const GAP_PX = 12
const LINE_PX = 3
/** One colour an expert: Okabe and Ito's palette (2008). */
const colours = ['#56b4e9', '#e69f00', '#2fc79d', '#e377c2', '#f0e442', '#d55e00']
const training =
  'train --dataset fashion-noise --model wrn-pmoe --samples 1000 --test-samples 200 --epochs 15 --patches-per-expert 8 ' +
  '--optimizer momentum --lr 0.02 --schedule cosine --seed 1'

async function draw(run: string, out: string): Promise<void> {
  if (!existsSync(run)) await program().parseAsync([...training.split(' '), '--out', run], { from: 'user' })
  await useBackend()
  const { model, config } = await openModel(run)
  if (!config) throw new Error(`patches-picture: RUN must be a run of pmoe train, got ${run}`)
  const { test } = await loadData(config.dataset, config.seed)
  if (!('images' in test)) throw new Error('patches-picture: test images must fit into memory')
  const shown = oneOfEachClass(test)
  const length = test.shape[0] * test.shape[1] * test.shape[2]
  const pixels = shown.map(i => (test.images as Uint8Array).slice(i * length, (i + 1) * length))
  const { images, grid } = await explain(model, new Uint8Array(Buffer.concat(pixels)), test.shape, {
    sensitivity: false,
  })
  if (!grid) throw new Error(`patches-picture: RUN must keep patches, got one that keeps all (${run})`)
  await writePicture(out, await Promise.all(pixels.map(image => enlarged(image, test.shape))), images, grid)
  const right = images.filter(({ predicted }, i) => predicted === test.labels[shown[i]!]).length
  console.log(`${out}: ${right} of ${images.length} images are classified rightly`)
}

/** The number of the first image of each class. */
function oneOfEachClass({ labels, classNames }: ImageSet): number[] {
  return classNames.map((_, label) => labels.indexOf(label))
}

/** A small image as a PNG of a tile's size. */
function enlarged(pixels: Uint8Array, [height, width, channels]: ImageSet['shape']): Promise<Buffer> {
  const raw = { width, height, channels: channels as 1 | 3 }
  return sharp(pixels, { raw }).resize(TILE_PX, TILE_PX, { kernel: 'lanczos3' }).png().toBuffer()
}

async function writePicture(
  out: string,
  tiles: readonly Buffer[],
  images: Explanations['images'],
  grid: Size2D,
): Promise<void> {
  const step = TILE_PX + GAP_PX
  const [width, height] = [tiles.length * step - GAP_PX, 2 * step - GAP_PX]
  const pictures = tiles.flatMap((input, i) => [0, step].map(top => ({ input, left: i * step, top })))
  const overlays = images.map(({ experts }, i) => ({
    input: Buffer.from(keptOverlay(experts, grid)),
    left: i * step,
    top: step,
  }))
  const canvas = sharp({ create: { width, height, channels: 4, background: '#0000' } })
  await canvas
    .composite([...pictures, ...overlays])
    .png({ palette: true, quality: 90 })
    .toFile(out)
}

/** A veil over what no expert kept, and a line around what each expert kept, in its colour, inside the lines of those before. */
function keptOverlay(experts: readonly KeptPatches[], grid: Size2D): string {
  const kept = new Set(experts.flatMap(({ patches }) => patches))
  const holes = [...kept].map(patch => {
    const { x, y, width, height } = cellRectangle(grid, patch, [TILE_PX, TILE_PX])
    return `M${x} ${y}h${width}v${height}h${-width}z`
  })
  const lines = experts.map(({ patches }, expert) => {
    const path = outline(patches, grid, (expert + 0.5) * LINE_PX)
    return `<path d="${path}" fill="none" stroke="${colours[expert % colours.length]}" stroke-width="${LINE_PX}" stroke-linecap="square"/>`
  })
  const veil = `<path fill="#10161d" fill-opacity=".74" fill-rule="evenodd" d="M0 0h${TILE_PX}v${TILE_PX}h${-TILE_PX}z${holes.join('')}"/>`
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${TILE_PX}" height="${TILE_PX}">${veil}${lines.join('')}</svg>`
}

/** The sides of cells at which a set of them ends, moved inwards, as an SVG path. */
function outline(patches: readonly number[], [rows, columns]: Size2D, inset: number): string {
  const isKept = (row: number, column: number) =>
    row >= 0 && row < rows && column >= 0 && column < columns && patches.includes(row * columns + column)
  const sides = patches.flatMap(patch => {
    const [row, column] = [Math.floor(patch / columns), patch % columns]
    const { x, y, width, height } = cellRectangle([rows, columns], patch, [TILE_PX, TILE_PX])
    const open = {
      top: !isKept(row - 1, column),
      bottom: !isKept(row + 1, column),
      left: !isKept(row, column - 1),
      right: !isKept(row, column + 1),
    }
    const [x0, x1] = [x + (open.left ? inset : -inset), x + width + (open.right ? -inset : inset)]
    const [y0, y1] = [y + (open.top ? inset : -inset), y + height + (open.bottom ? -inset : inset)]
    return [
      open.top ? `M${x0} ${y + inset}H${x1}` : '',
      open.bottom ? `M${x0} ${y + height - inset}H${x1}` : '',
      open.left ? `M${x + inset} ${y0}V${y1}` : '',
      open.right ? `M${x + width - inset} ${y0}V${y1}` : '',
    ]
  })
  return sides.join('')
}

await new Command('patches-picture')
  .description('Draws the patches that the experts of a run kept of test images.')
  .argument('[run]', 'folder of a trained run; trained where there is none', 'runs/patches')
  .option('--out <file>', 'the picture', 'docs/patches.png')
  .action((run: string, { out }: { out: string }) => draw(run, out))
  .parseAsync()
