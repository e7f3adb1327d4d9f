/**
 * Measures what reading very large images takes: makes a JPEG file of 100 megapixels and a tiled TIFF file of a gigapixel in
 * a temporary folder, reads a view and 20 regions of each in a process of its own, and prints time and peak memory;
 * then the share of a pass that waits for views of 12-megapixel files, when a step of computing takes 300 ms.
 *
 * Usage: npx tsx tools/large-images.ts [--side PIXELS of the TIFF file]
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Command } from 'commander'
import sharp, { type Sharp } from 'sharp'
import type { RegionRecords } from '../src/data/regions/region-records.js'
import { regionStream } from '../src/data/regions/region-records.js'
import { viewsAhead } from '../src/data/regions/views.js'
import { openRegions } from '../src/files/regions/open-regions.js'

const patch = 48
const regionCount = 20

async function noise(height: number, width: number): Promise<Sharp> {
  const side = 1000
  const noise = { type: 'gaussian', mean: 128, sigma: 50 } as const
  const create = { width: side, height: side, channels: 3, background: '#888', noise } as const
  const pixels = await sharp({ create }).raw().toBuffer()
  const small = sharp(pixels, { raw: { width: side, height: side, channels: 3 }, limitInputPixels: false })
  return small.resize(width, height, { fit: 'fill', kernel: 'linear' })
}

/** Reads a view and some regions, and prints milliseconds and MiB as JSON. */
async function readOne(path: string, scale: number): Promise<void> {
  const atStart = process.resourceUsage().maxRSS / 1024
  const source = await openRegions(path)
  const start = performance.now()
  const view = await source.view(scale)
  const viewed = performance.now()
  const boxes = Array.from({ length: regionCount }, (_, i) => [
    Math.floor((i * (source.height - patch)) / (regionCount - 1)),
    Math.floor((((i * 7) % regionCount) * (source.width - patch)) / (regionCount - 1)),
    patch,
    patch,
  ])
  await source.regions(Int32Array.from(boxes.flat()))
  const end = performance.now()
  const peak = process.resourceUsage().maxRSS / 1024
  const size = `${source.height}x${source.width}`
  const round = Math.round
  const times = { viewMs: round(viewed - start), regionsMs: round(end - viewed) }
  console.log(
    JSON.stringify({
      size,
      scale,
      viewBytes: view.length,
      ...times,
      startMiB: round(atStart),
      peakMiB: round(peak),
    }),
  )
}

async function inProcess(path: string, scale: number): Promise<string> {
  const script = fileURLToPath(import.meta.url)
  const args = ['--import', 'tsx', script, '--read', path, '--scale', String(scale)]
  return (await promisify(execFile)(process.execPath, args)).stdout.trim()
}

/** The share of a pass over `count` copies of a file that waits for views, with and without reading ahead. */
async function waiting(path: string, isAhead: boolean): Promise<number> {
  const { height, width } = await openRegions(path)
  const count = 24
  const records: RegionRecords = {
    count,
    shape: [height, width, 3],
    labels: new Int32Array(count),
    classNames: ['all'],
    name: position => `${path} (${position})`,
    open: () => openRegions(path),
  }
  const stream = regionStream(records)
  const batches = (isAhead ? viewsAhead(stream, { scale: 8 }) : stream).batches({ batchSize: 4 })
  let waited = 0
  const start = performance.now()
  let asked = start
  for await (const { sources } of batches) {
    await Promise.all(sources.map(source => source.view(8)))
    waited += performance.now() - asked
    // A step of computing that leaves the processors to others, as a device does.
    await new Promise(resolve => setTimeout(resolve, 300))
    asked = performance.now()
  }
  return waited / (performance.now() - start)
}

async function measure(side: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'large-images-'))
  const tile = { tile: true, tileWidth: 256, tileHeight: 256, bigtiff: true } as const
  try {
    const jpeg = join(folder, 'a.jpg')
    await (await noise(10_000, 10_000)).jpeg({ quality: 85 }).toFile(jpeg)
    for (const scale of [8, 4]) console.log('JPEG', await inProcess(jpeg, scale))
    const tiff = join(folder, 'a.tif')
    await (await noise(side, side)).tiff({ ...tile, compression: 'jpeg', quality: 75 }).toFile(tiff)
    console.log('tiled TIFF', await inProcess(tiff, 16))
    const photo = await (await noise(3000, 4000)).raw().toBuffer()
    const small = sharp(photo, { raw: { height: 3000, width: 4000, channels: 3 } })
    const files: readonly [string, Sharp][] = [
      ['photo.jpg', small.clone().jpeg({ quality: 90 })],
      ['photo.png', small.clone().png({ compressionLevel: 6 })],
      ['photo.tif', small.clone().tiff({ ...tile, compression: 'jpeg', quality: 90 })],
    ]
    for (const [name, image] of files) {
      const path = join(folder, name)
      await image.toFile(path)
      const [without, ahead] = [await waiting(path, false), await waiting(path, true)]
      console.log(
        name,
        `waits ${(100 * without).toFixed(0)} % of a pass, read ahead ${(100 * ahead).toFixed(0)} %`,
      )
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

const command = new Command()
  .option('--side <pixels>', 'side of the TIFF file', '32768')
  .option('--read <path>')
  .option('--scale <pixels>', 'scale of the view', '8')
  .parse()
const { side, read, scale } = command.opts<{ side: string; read?: string; scale: string }>()
await (read === undefined ? measure(Number(side)) : readOne(read, Number(scale)))
