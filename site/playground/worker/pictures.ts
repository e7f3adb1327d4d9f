/** Own pictures as images of one size, read one after the other: what a photograph takes in memory is freed before the next. */
import type { PixelSet } from '../../../src/data/image-set.js'
import type { PictureClass, Report } from '../protocol.js'

/** Most pictures of all classes together; of more, as many of each class are taken as it goes. */
const MOST_PICTURES = 5000
/** Most bytes of a picture's file: larger ones may not fit into memory when they are decoded. */
const MOST_BYTES = 100 * 2 ** 20

/** Own pictures that were read. */
export interface ReadPictures {
  /** Undefined where they are too few to train on. */
  readonly set?: PixelSet
  readonly report: Extract<Report, { readonly type: 'pictures' }>
}

/**
 * Reads pictures: the largest square in the middle of each, resized.
 *
 * @param side height and width of the images, in pixels
 * @param tell hears how many of all are done
 * @param isStale says that these pictures are no longer wanted
 * @returns undefined where they are no longer wanted
 */
export async function readPictures(
  classes: readonly PictureClass[],
  side: number,
  tell: (done: number, total: number) => void,
  isStale: () => boolean,
): Promise<ReadPictures | undefined> {
  const shares = evenShares(classes.map(({ pictures }) => pictures.length))
  const taken = classes.flatMap(({ pictures }, label) =>
    pictures.slice(0, shares[label]).map(picture => ({ picture, label })),
  )
  const images = new Uint8Array(taken.length * side * side * 3)
  const labels: number[] = []
  const unreadable: { name: string; why: string }[] = []
  const canvas = new OffscreenCanvas(side, side)
  for (const [i, { picture, label }] of taken.entries()) {
    if (isStale()) return undefined
    try {
      images.set(await squarePixels(picture, canvas), labels.length * side * side * 3)
      labels.push(label)
    } catch (error) {
      unreadable.push({ name: nameOf(picture), why: (error as Error).message })
    }
    tell(i + 1, taken.length)
  }
  for (const [label, { pictures }] of classes.entries())
    for (const picture of pictures.slice(shares[label]))
      unreadable.push({ name: nameOf(picture), why: `at most ${MOST_PICTURES} pictures are taken` })
  const counts = classes.map(({ name }, label) => ({ name, count: labels.filter(l => l === label).length }))
  const problem = problemOf(counts)
  const report = { type: 'pictures', counts, unreadable, ...(problem !== undefined && { problem }) } as const
  if (problem !== undefined) return { report }
  const set = {
    images: images.slice(0, labels.length * side * side * 3),
    labels: Int32Array.from(labels),
    count: labels.length,
    shape: [side, side, 3] as const,
    classNames: classes.map(({ name }) => name),
  }
  return { set, report }
}

/** How many pictures of each class are taken: what a small class does not need is for the others. */
function evenShares(sizes: readonly number[]): number[] {
  const shares = sizes.map(() => 0)
  const order = [...sizes.keys()].sort((a, b) => (sizes[a] as number) - (sizes[b] as number))
  let left = MOST_PICTURES
  for (const [i, label] of order.entries()) {
    const share = Math.min(sizes[label] as number, Math.floor(left / (order.length - i)))
    shares[label] = share
    left -= share
  }
  return shares
}

function problemOf(counts: readonly { readonly name: string; readonly count: number }[]): string | undefined {
  if (counts.length < 2 || counts.length > 10) {
    const got = counts.length === 1 ? `1, ${JSON.stringify(counts[0]?.name)}` : String(counts.length)
    return `Own pictures: there must be 2 to 10 classes, got ${got}`
  }
  const few = counts.find(({ count }) => count < 2)
  if (!few) return undefined
  return `Own pictures: class ${JSON.stringify(few.name)} must have a picture for training and one for testing, got ${few.count}`
}

/** (side, side, 3) of 0..255. */
async function squarePixels(picture: Blob, canvas: OffscreenCanvas): Promise<Uint8Array> {
  if (picture.size > MOST_BYTES)
    throw new RangeError(`picture must have at most ${MOST_BYTES} bytes, got ${picture.size}`)
  const bitmap = await decoded(picture)
  try {
    const { width: side } = canvas
    const square = Math.min(bitmap.width, bitmap.height)
    const [left, top] = [(bitmap.width - square) / 2, (bitmap.height - square) / 2]
    const context = canvas.getContext('2d', { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D
    context.imageSmoothingQuality = 'high'
    // What is transparent is seen on white.
    context.fillStyle = '#fff'
    context.fillRect(0, 0, side, side)
    context.drawImage(bitmap, left, top, square, square, 0, 0, side, side)
    return rgb(context.getImageData(0, 0, side, side).data)
  } finally {
    bitmap.close()
  }
}

async function decoded(picture: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(picture)
  } catch {
    throw new Error(picture.size === 0 ? 'the file is empty' : 'this browser reads no picture from it')
  }
}

function rgb(rgba: Uint8ClampedArray): Uint8Array {
  const pixels = new Uint8Array((rgba.length / 4) * 3)
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    pixels[to++] = rgba[from] as number
    pixels[to++] = rgba[from + 1] as number
    pixels[to++] = rgba[from + 2] as number
  }
  return pixels
}

function nameOf(picture: Blob): string {
  return picture instanceof File ? picture.name : 'a picture of the camera'
}
