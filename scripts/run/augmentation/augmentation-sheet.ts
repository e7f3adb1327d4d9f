import type { Augmentation } from '../../../src/data/augmentation/augmentation.js'
import { batchVariation } from '../../../src/data/augmentation/augmented.js'
import type { ImageBatch, MixedLabels } from '../../../src/data/image-set.js'
import { type ImageValues, zerosLike } from '../../../src/data/image-values.js'
import { viewableImages } from '../../../src/data/viewable-images.js'
import { writeSheetPng } from '../../../src/files/images/sheet-png.js'
import { contactSheet } from '../../../src/report/contact-sheet.js'
import type { InspectedHalf } from '../inspection.js'
import { chosenImages, type WrittenSheet } from '../sheet.js'

/** Images of the sheet, a row each, and the epochs in which they are shown. */
const ROWS = 6
const EPOCHS = 7

/**
 * Writes a sheet of training images as training sees them: each row one image, as it is and in the first seven epochs.
 *
 * @param path of the PNG file
 * @throws Error when none of the images can be decoded, or the file cannot be written; RangeError as `augmented`
 */
export async function writeAugmentationSheet(
  path: string,
  half: InspectedHalf,
  { title, augmentation }: { readonly title: string; readonly augmentation: Augmentation },
): Promise<WrittenSheet> {
  const { positions, values, unreadable } = await chosenImages(path, half, ROWS)
  const labels = Int32Array.from(positions, position => half.labels[position] as number)
  const images: ImageBatch = { images: values, labels, count: positions.length }
  const vary = batchVariation(half.shape, augmentation)
  const varied = Array.from({ length: EPOCHS }, (_, epoch) =>
    vary ? vary(images, { epoch, first: 0 }) : images,
  )
  const { pixels, shape } = viewableImages(inRows(values, varied, positions.length), half.shape)
  const captions = positions.flatMap((_, row) => [
    nameOf(half, labels[row]),
    ...varied.map(({ mixed }, epoch) => (mixed ? mixedText(half, mixed, row) : `epoch ${epoch + 1}`)),
  ])
  const sheet = contactSheet({
    title,
    size: [shape[0], shape[1]],
    images: captions.map(caption => ({ caption })),
    columns: 1 + EPOCHS,
  })
  await writeSheetPng(path, sheet, pixels, shape)
  return { path, images: positions.length, unreadable }
}

/** The images, each followed by what epochs make of it. */
function inRows(images: ImageValues, varied: readonly ImageBatch[], count: number): ImageValues {
  const size = images.length / count
  const columns = [images, ...varied.map(batch => batch.images)]
  const all = zerosLike(images, columns.length * images.length)
  for (let row = 0; row < count; row++) {
    for (const [column, values] of columns.entries()) {
      all.set(values.subarray(row * size, (row + 1) * size), (row * columns.length + column) * size)
    }
  }
  return all
}

function nameOf({ classNames }: InspectedHalf, label: number | undefined): string {
  return classNames[label ?? -1] ?? String(label)
}

/** What a mixed image has of another label: `epoch` is told by its column. */
function mixedText(half: InspectedHalf, { labels, shares }: MixedLabels, row: number): string {
  const other = Math.round(100 * (1 - (shares[row] as number)))
  return `${other} % ${nameOf(half, labels[row])}`
}
