/**
 * Writes the images of one run of the study `megapixel` as plain files, so that other programs train on the same ones.
 *
 * `train` and `test` each become `NAME.images` (count, height, width) uint8, `NAME.labels` (count) int32 and `NAME.objects`
 * (count, things, 5) int32: top, left, height, width and whether the thing decides the class. `run.json` says the shapes, and how
 * the run is trained.
 *
 * usage: tsx bench/peers/large_images.ts STUDY CELL OUT
 */
import { join } from 'node:path'
import { taskRun } from '../../scripts/study/large-images/task-run.js'
import { studyCells } from '../../scripts/study/study-config.js'
import { openStudy } from '../../scripts/study/study-folder.js'
import { useBackend } from '../../src/backend/choose.js'
import type { RegionStream } from '../../src/data/regions/region-stream.js'
import { writeFilesAtomic } from '../../src/files/atomic.js'
import { makeFolder } from '../../src/files/folders.js'
import { size2D } from '../../src/shapes.js'

async function half(stream: RegionStream) {
  const [height, width] = stream.shape
  const images = new Uint8Array(stream.count * height * width)
  const labels = new Int32Array(stream.count)
  const objects: number[] = []
  let [first, things] = [0, 0]
  for await (const batch of stream.batches({ batchSize: 1 })) {
    const [source] = batch.sources
    const [known] = batch.objects ?? []
    if (!source || !known) throw new Error('large_images: images must come with the boxes of what is on them')
    images.set(await source.view(1), first * height * width)
    await source.close?.()
    labels.set(batch.labels, first)
    for (const [thing, decides] of known.relevant.entries()) {
      objects.push(...known.boxes.subarray(4 * thing, 4 * thing + 4), decides)
    }
    things = known.relevant.length
    first++
  }
  return { images, labels, objects: Int32Array.from(objects), shape: [stream.count, height, width], things }
}

const bytes = (values: Int32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

const [directory = '', index = '', out = ''] = process.argv.slice(2)
const folder = await openStudy(directory)
const { grid } = folder.config
const cell = studyCells(folder.config)[Number(index)]
if (grid.kind !== 'megapixel' || !cell) {
  throw new RangeError(`large_images: CELL must be one of a study megapixel, got ${index} of ${directory}`)
}
const run = await taskRun(grid, cell, await useBackend(folder.config.backend))
const [train, test] = [await half(run.train), await half(run.test)]
const { cellSize, margin, viewScale, patchesPerExpert } = run.routed
const [side] = size2D(cellSize, 'large_images: cellSize')
const description = {
  setting: cell.setting,
  samples: cell.samples,
  seed: cell.seed,
  epochs: run.config.training.epochs,
  batchSize: run.config.training.batchSize,
  learningRate: run.config.training.learningRate,
  classes: run.train.classNames.length,
  cell: side,
  margin: margin ?? Math.floor(side / 4),
  viewScale,
  maxShift: run.config.dataset.maxShift ?? 0,
  patches: patchesPerExpert,
  train: { shape: train.shape, things: train.things },
  test: { shape: test.shape, things: test.things },
}
await makeFolder(out)
await writeFilesAtomic(
  Object.entries({ train, test }).flatMap(([name, { images, labels, objects }]) => [
    [join(out, `${name}.images`), images] as const,
    [join(out, `${name}.labels`), bytes(labels)] as const,
    [join(out, `${name}.objects`), bytes(objects)] as const,
  ]),
)
await writeFilesAtomic([[join(out, 'run.json'), `${JSON.stringify(description)}\n`]])
