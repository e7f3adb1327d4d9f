/** The images of a task. Imports no tfjs, so that they are on the page before it is read. */
import { epochOrder } from '../../../src/data/batches.js'
import type { DataSource } from '../../../src/data/data-source.js'
import { testSeed } from '../../../src/data/datasets/dataset.js'
import { digitsPatches } from '../../../src/data/datasets/digits-patches.js'
import { fashionQuadrants } from '../../../src/data/datasets/fashion-quadrants.js'
import type { ImageSet, PixelSet } from '../../../src/data/image-set.js'
import { stratifiedParts } from '../../../src/data/stratified.js'
import type { WallImages } from '../protocol.js'
import { type Setting, taskRanges } from '../setting.js'
import { drawDefects } from './defects.js'

/** What the networks of a task are trained and tested on. */
export interface TaskData {
  readonly train: PixelSet
  readonly test: PixelSet
}

/** Images of the tasks that are evaluated after each epoch. */
const testImages = { digits: 300, quadrants: 300, defect: 120 } as const
/** Share of the own pictures of a class that is kept for testing. */
const testShare = 0.25

/**
 * Loads, draws or takes the images of a task.
 *
 * @param samples address of the folder of sample files
 * @param own the visitor's pictures, where there are any
 * @throws Error where a file is missing; or naming the class of own pictures with too few
 */
export async function taskData(
  { task, n, seed }: Pick<Setting, 'task' | 'n' | 'seed'>,
  samples: string,
  own: PixelSet | undefined,
): Promise<TaskData> {
  if (task === 'own') return ownData(own)
  if (task === 'defect') {
    const { side } = taskRanges.defect
    return {
      train: drawDefects(n, side, seed),
      test: drawDefects(testImages.defect, side, testSeed),
    }
  }
  const entry = { digits: digitsPatches, quadrants: fashionQuadrants }[task]
  const source = webSource(`${samples}${entry.sampleFolder}/`)
  const { train, test } = await entry.load(source, { samples: n, testSamples: testImages[task], seed })
  return { train: train as PixelSet, test: test as PixelSet }
}

function ownData(own: PixelSet | undefined): TaskData {
  if (!own) throw new Error('Own pictures: there must be two classes or more, got none')
  const parts = stratifiedParts(own, testShare, testSeed)
  // Shuffled, so that the first ones are of all classes.
  const order = epochOrder(parts.validation.length, testSeed, 0)
  const test = order.map(position => parts.validation[position] as number)
  return { train: imagesAt(own, parts.train), test: imagesAt(own, test) }
}

function imagesAt({ images, labels, shape, classNames }: PixelSet, order: Int32Array): PixelSet {
  const size = shape[0] * shape[1] * shape[2]
  const picked = new Uint8Array(order.length * size)
  for (const [to, from] of order.entries())
    picked.set(images.subarray(from * size, (from + 1) * size), to * size)
  return {
    images: picked,
    labels: order.map(position => labels[position] as number),
    count: order.length,
    shape,
    classNames,
  }
}

/** Images on the wall: a number that fills rows of 4, 6, 8 and 12. */
const WALL = 24
/** A large image is shown to be looked into: fewer of them. */
const LARGE_WALL = 12

/** The first test images, as the page shows them. */
export function wallOf({ images, labels, shape, classNames, ...set }: PixelSet): WallImages {
  const count = Math.min(shape[0] > 100 ? LARGE_WALL : WALL, set.count)
  return {
    ...{ shape, count, classNames },
    pixels: images.slice(0, count * shape[0] * shape[1] * shape[2]),
    labels: labels.slice(0, count),
    ...boxesOf(set, shape, count),
  }
}

/** What shows the class of each image, where that is known. */
function boxesOf(
  { objectBox, cells, trueCell }: Pick<ImageSet, 'objectBox' | 'cells' | 'trueCell'>,
  [height, width]: ImageSet['shape'],
  count: number,
): Pick<WallImages, 'boxes'> {
  if (objectBox) return { boxes: objectBox.slice(0, 4 * count) }
  if (!cells || !trueCell) return {}
  const [rows, columns] = cells
  const [cellHeight, cellWidth] = [height / rows, width / columns]
  const boxes = Int32Array.from({ length: 4 * count }, (_, i) => {
    const cell = trueCell[Math.floor(i / 4)] as number
    const box = [Math.floor(cell / columns) * cellHeight, (cell % columns) * cellWidth, cellHeight, cellWidth]
    return box[i % 4] as number
  })
  return { boxes }
}

/** The sample files of a task, read from the site. */
function webSource(folder: string): DataSource {
  const address = (path: string) => new URL(path, folder).href
  const read = async (path: string): Promise<Uint8Array> => {
    const answer = await fetch(address(path))
    if (!answer.ok)
      throw new Error(`${address(path)}: file must be there, got ${answer.status} ${answer.statusText}`)
    return new Uint8Array(await answer.arrayBuffer())
  }
  return {
    read,
    describe: path => address(path),
    exists: async path => (await fetch(address(path), { method: 'HEAD' })).ok,
    list: async () =>
      ['train', 't10k'].flatMap(half => [`${half}-images-idx3-ubyte.gz`, `${half}-labels-idx1-ubyte.gz`]),
    open: async path => {
      const bytes = await read(path)
      return {
        length: bytes.length,
        slice: async (start, end) => bytes.slice(start, end),
        close: async () => undefined,
      }
    },
  }
}
