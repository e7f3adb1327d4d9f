import type { Augmentation } from '../../../src/data/augmentation/augmentation.js'
import { type DatasetEntry, datasetEntry, datasets } from '../../../src/data/datasets/datasets.js'
import { halfTitles } from '../../../src/data/datasets/image-folder/folder-halves.js'
import { type ImageSummary, imbalance, summarize } from '../../../src/data/summary.js'
import { type UnreadableImage, UnreadableImages } from '../../../src/data/unreadable-images.js'
import type { ExaminedImages, ImageSizes } from '../../../src/files/images/examined-images.js'
import { askedAugmentation, augmentationFlags } from '../../run/augmentation/asked-augmentation.js'
import { writeAugmentationSheet } from '../../run/augmentation/augmentation-sheet.js'
import { augmentationRequest, dataRequest } from '../../run/dataset-settings.js'
import {
  datasetOf,
  type InspectedHalf,
  type Inspection,
  inspectDataset,
  inspectPrepared,
} from '../../run/inspection.js'
import { checkFolder, checkSettings, unreadableNotes } from '../../run/run-data.js'
import { type WrittenSheet, writeContactSheet } from '../../run/sheet.js'
import { type GivenFlags, namingFlags } from '../../run/train-settings.js'
import { dataPath, usablePlace } from '../../terminal/data-path.js'
import { noteText } from '../../terminal/safe-output.js'
import { textTable } from '../../terminal/text-table.js'
import { percent } from '../../terminal/training-log.js'
import { asUsage, asUsageLater, UsageError } from '../../terminal/usage-error.js'

/** The flags of `pmoe data inspect`, as commander hands them over; those of `datasetSettings` are among them. */
export interface DataInspectRequest extends GivenFlags {
  readonly dataset?: string
  readonly data?: string
  readonly seed?: number
  readonly out?: string
  readonly sheet: boolean
  readonly json?: boolean
}

/** Counts the images of a dataset, draws a contact sheet, and writes the result. */
export async function runDataInspect(folder: string | undefined, request: DataInspectRequest): Promise<void> {
  const inspection = await open(folder, request)
  const { dataset, halves } = inspection
  const [train] = halves
  if (!train) throw new Error(`${dataset}: halves must be 1 or more, got 0`)
  const { variations, notes } = asUsage(
    () => askedAugmentation(augmentationRequest(request), entryOf(dataset), train.classNames),
    namingFlags(),
  )
  const isVaried = Object.keys(variations).length > 0
  const title = `${dataset}: training images${isVaried ? ' as training sees them' : ''}, ${train.shape.join('x')}`
  const path = request.out ?? `sheet-${dataset}.png`
  const augmentation = isVaried ? { ...variations, seed: request.seed ?? 1 } : undefined
  const sheet = request.sheet ? await writeSheet(path, train, title, augmentation) : undefined
  const counted = halves.map(half => ({ half, ...summarize(half) }))
  const noted = { ...inspection, notes: [...inspection.notes, ...notes] }
  const text = request.json
    ? jsonText(noted, counted, sheet, augmentation)
    : summaryText(noted, counted, sheet, augmentation)
  process.stdout.write(`${text}\n`)
}

function writeSheet(
  path: string,
  train: InspectedHalf,
  title: string,
  augmentation: Augmentation | undefined,
): Promise<WrittenSheet> {
  if (!augmentation) return writeContactSheet(path, train, { title })
  return asUsageLater(() => writeAugmentationSheet(path, train, { title, augmentation }), namingFlags())
}

/** A prepared folder may hold a dataset of somebody's own. */
function entryOf(name: string): Pick<DatasetEntry, 'name' | 'values' | 'taskForbids'> {
  return datasets.find(entry => entry.name === name) ?? { name }
}

/** The counts of each half, training first. */
type Counted = readonly (ImageSummary & { readonly half: InspectedHalf })[]

async function open(folder: string | undefined, request: DataInspectRequest): Promise<Inspection> {
  if (folder !== undefined && request.data !== undefined) {
    throw new UsageError(
      `data inspect: --data must be left out with a folder, got ${folder} and ${request.data}`,
    )
  }
  if (folder === undefined && request.dataset === undefined) {
    throw new UsageError('data inspect: a folder or --dataset must be given, got neither')
  }
  if (folder !== undefined) usablePlace(folder)
  const dataset = request.dataset ?? (await datasetOf(folder as string))
  if (dataset === undefined) return inspectPrepared(folder as string)
  const data = folder ?? request.data
  const entry = datasetEntry(dataset)
  checkFolder('data inspect', entry, data)
  const requested = dataRequest(dataset, dataPath(data), request)
  asUsage(() => checkSettings(entry, requested))
  return inspectDataset(requested, request.seed ?? 1)
}

function jsonText(
  { dataset, place, shape, notes, unreadable, examined }: Inspection,
  counted: Counted,
  sheet: WrittenSheet | undefined,
  augmentation: Augmentation | undefined,
): string {
  const countsByName = ({ half, count, classCounts, groupCounts, cellCounts }: Counted[number]) => ({
    count,
    classes: byName(half.classNames, classCounts),
    ...(groupCounts && { groups: byName(half.groupNames ?? [], groupCounts) }),
    ...(cellCounts && { cells: half.cells, trueCells: cellCounts }),
  })
  return JSON.stringify({
    dataset,
    place,
    shape,
    ...Object.fromEntries(counted.map(half => [half.half.half, countsByName(half)])),
    ...(examined?.sizes && { sizes: examined.sizes }),
    notes: [...notes, ...(examined?.notes ?? [])],
    unreadable: [...unreadable, ...(examined?.unreadable ?? [])],
    ...(augmentation && { augmentation }),
    ...(sheet && { sheet }),
  })
}

function byName(names: readonly string[], counts: readonly number[]): Record<string, number> {
  return Object.fromEntries(names.map((name, i) => [name, counts[i] ?? 0]))
}

function summaryText(
  { dataset, place, shape, notes, unreadable, examined }: Inspection,
  counted: Counted,
  sheet: WrittenSheet | undefined,
  augmentation: Augmentation | undefined,
): string {
  const [first] = counted
  if (!first) return ''
  const { half: train, classCounts, groupCounts, cellCounts } = first
  const images = counted.map(({ half, count }) => `${count} ${halfTitles[half.half]}`)
  const last = images.pop()
  const parts = [
    `${dataset} in ${place}\n${images.join(', ')} and ${last} images, ${shape.join('x')}, ${train.classNames.length} classes`,
    balanceTable('class', train.classNames, counted, half => half.classCounts),
    balanceText('classes', classCounts),
  ]
  if (groupCounts && train.groupNames) {
    parts.push(
      balanceTable('group', train.groupNames, counted, half => half.groupCounts ?? []),
      balanceText('groups', groupCounts),
    )
  }
  if (cellCounts && train.cells) parts.push(cellText(cellCounts, train.cells))
  if (examined?.sizes) parts.push(sizesText(examined.sizes))
  const allNotes = [...notes, ...(examined?.notes ?? []), ...unreadableNotes(unreadable)]
  if (allNotes.length > 0) parts.push(allNotes.map(noteText).join('\n'))
  if (examined && examined.unreadable.length > 0) parts.push(unreadableText(dataset, examined, counted))
  if (sheet) parts.push(sheetText(sheet, examined?.unreadable ?? [], augmentation))
  return parts.join('\n\n')
}

function balanceTable(
  what: string,
  names: readonly string[],
  counted: Counted,
  countsOf: (half: ImageSummary) => readonly number[],
): string {
  const share = (half: ImageSummary, i: number) => percent((countsOf(half)[i] ?? 0) / half.count)
  const rows = names.map((name, i) => [
    name,
    ...counted.flatMap(half => [`${countsOf(half)[i]}`, share(half, i)]),
  ])
  return textTable([what, ...counted.flatMap(({ half }) => [half.half, 'share'])], rows)
}

function balanceText(what: string, counts: readonly number[]): string {
  const ratio = imbalance(counts)
  if (ratio === 1) return `Training ${what} are balanced.`
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  const times = Number.isFinite(ratio) ? `, ${ratio.toFixed(2)} times as many` : ''
  return `Training ${what} have between ${least} and ${most} images${times}.`
}

/** How many images show their class in each cell, laid out as the grid. */
function cellText(counts: readonly number[], [rows, columns]: readonly [number, number]): string {
  const width = Math.max(...counts.map(count => `${count}`.length))
  const lines = Array.from({ length: rows }, (_, row) =>
    counts
      .slice(row * columns, (row + 1) * columns)
      .map(count => `${count}`.padStart(width))
      .join('  '),
  )
  return `Training images by the cell that shows the class (${rows}x${columns}):\n  ${lines.join('\n  ')}`
}

/** Names the images that cannot be read, and says how training treats them. */
function unreadableText(dataset: string, { examined, unreadable }: ExaminedImages, counted: Counted): string {
  const total = counted.reduce((sum, { count }) => sum + count, 0)
  const { allowed } = new UnreadableImages(dataset, total)
  return (
    `${unreadableNotes(unreadable, 'Could not be read').map(noteText).join('\n')}\n` +
    `(${examined} of ${total} looked at; up to ${allowed} in all are left out in training and preparing, ` +
    'more stop it: --max-unreadable)'
  )
}

function sizesText({ examined, smallest, median, largest }: ImageSizes): string {
  const size = (pixels: readonly number[]) => pixels.join('x')
  return `Image files (height x width, ${examined} looked at): ${size(smallest)} to ${size(largest)}, median ${size(median)}`
}

function sheetText(
  { path, images, unreadable }: WrittenSheet,
  alreadyListed: readonly UnreadableImage[],
  augmentation: Augmentation | undefined,
): string {
  const listedReasons = new Set(alreadyListed.map(({ reason }) => reason))
  const others = unreadable.filter(reason => !listedReasons.has(reason))
  const missing = others.map(reason => `\n  ${reason}`).join('')
  const what = augmentation
    ? `Sheet of ${images} training images, each as it is and in seven epochs (${variedBy(augmentation)})`
    : `Contact sheet of ${images} training images`
  return `${what}: ${path}${missing && `\n${others.length} could not be decoded:${missing}`}`
}

/** How images are varied, as flags. */
function variedBy({ seed: _, ...variations }: Augmentation): string {
  return augmentationFlags(variations).join(' ')
}
