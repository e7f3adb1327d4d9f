import { join } from 'node:path'
import type { RegionStream } from '../../../src/data/regions/region-stream.js'
import { writeFilesAtomic } from '../../../src/files/atomic.js'
import { makeFolder } from '../../../src/files/folders.js'
import { size2D } from '../../../src/shapes.js'
import type { Cell } from '../cell.js'
import type { TaskRun } from './task-run.js'

/**
 * Writes the images of a cell as plain files, so that other programs train on the same ones.
 *
 * `train` and `test` each become `NAME.images` (count, height, width, channels) uint8, `NAME.labels` (count) int32 and
 * `NAME.objects` (count, things, 5) int32: top, left, height and width in pixels, and 1 for things that decide the class. All are
 * little-endian. `run.json` says the shapes, and how the cell is trained.
 *
 * @throws Error for images without the boxes of what is on them
 */
export async function writeTaskFiles(
  { config, routed, train, test }: TaskRun,
  { setting, samples, seed }: Cell,
  folder: string,
): Promise<void> {
  const halves = { train: await halfOf(train), test: await halfOf(test) }
  const [cell] = size2D(routed.cellSize, 'study: cellSize')
  const { epochs, batchSize, learningRate } = config.training
  const description = {
    setting,
    samples,
    seed,
    epochs,
    batchSize,
    learningRate,
    classes: train.classNames.length,
    cell,
    margin: routed.margin ?? Math.floor(cell / 4),
    viewScale: routed.viewScale,
    maxShift: config.dataset.maxShift ?? 0,
    patches: routed.patchesPerExpert,
    train: { shape: halves.train.shape, things: halves.train.things },
    test: { shape: halves.test.shape, things: halves.test.things },
  }
  const files = Object.entries(halves).flatMap(([name, { images, labels, objects }]) => [
    [join(folder, `${name}.images`), images] as const,
    [join(folder, `${name}.labels`), bytesOf(labels)] as const,
    [join(folder, `${name}.objects`), bytesOf(objects)] as const,
  ])
  await makeFolder(folder)
  await writeFilesAtomic([...files, [join(folder, 'run.json'), `${JSON.stringify(description)}\n`]])
}

async function halfOf(stream: RegionStream) {
  const [height, width, channels] = stream.shape
  const perImage = height * width * channels
  const images = new Uint8Array(stream.count * perImage)
  const labels = new Int32Array(stream.count)
  const objects: number[] = []
  let [image, things] = [0, 0]
  for await (const batch of stream.batches({ batchSize: 1 })) {
    const [source, known] = [batch.sources[0], batch.objects?.[0]]
    if (!source || !known) {
      throw new Error(`study: images must come with the boxes of what is on them, got none of image ${image}`)
    }
    images.set(await source.view(1), image * perImage)
    await source.close?.()
    labels.set(batch.labels, image)
    things = known.relevant.length
    for (const [thing, decides] of known.relevant.entries()) {
      objects.push(...known.boxes.subarray(4 * thing, 4 * thing + 4), decides)
    }
    image++
  }
  return { images, labels, objects: Int32Array.from(objects), shape: [stream.count, ...stream.shape], things }
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
