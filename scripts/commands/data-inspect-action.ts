import { datasetEntry } from '../../src/data/datasets.js'
import { type ImageSummary, imbalance, summarize } from '../../src/data/summary.js'
import { dataRequest } from '../run/dataset-settings.js'
import { datasetOf, type Inspection, inspectDataset, inspectPrepared } from '../run/inspection.js'
import { checkFolder, checkSettings, dataPath } from '../run/run-data.js'
import { type WrittenSheet, writeContactSheet } from '../run/sheet.js'
import type { GivenFlags } from '../run/train-settings.js'
import { textTable } from '../terminal/text-table.js'
import { percent } from '../terminal/training-log.js'
import { asUsage, UsageError } from '../terminal/usage-error.js'

/** The flags of `pmoe data inspect`, as commander hands them over; those of `datasetSettings` are among them. */
export interface DataInspectRequest extends GivenFlags {
  readonly dataset?: string
  readonly data?: string
  readonly seed?: number
  readonly out?: string
  readonly sheet: boolean
  readonly json?: boolean
}

/** Counts the images of a dataset, draws a contact sheet, and writes what there is. */
export async function runDataInspect(folder: string | undefined, request: DataInspectRequest): Promise<void> {
  const inspection = await open(folder, request)
  const { dataset, train } = inspection
  const title = `${dataset}: training images, ${train.shape.join('x')}`
  const path = request.out ?? `sheet-${dataset}.png`
  const sheet = request.sheet ? await writeContactSheet(path, train, { title }) : undefined
  const counted = { train: summarize(train), test: summarize(inspection.test) }
  const text = request.json ? jsonText(inspection, counted, sheet) : summaryText(inspection, counted, sheet)
  process.stdout.write(`${text}\n`)
}

interface Counted {
  readonly train: ImageSummary
  readonly test: ImageSummary
}

async function open(folder: string | undefined, request: DataInspectRequest): Promise<Inspection> {
  if (folder !== undefined && request.data !== undefined) {
    throw new UsageError(
      `data inspect: --data must be left out with a folder, got ${folder} and ${request.data}`,
    )
  }
  if (folder === undefined && request.dataset === undefined) {
    throw new UsageError('data inspect: a folder or --dataset must be given, got neither')
  }
  const dataset = request.dataset ?? (await datasetOf(folder as string))
  if (dataset === undefined) return inspectPrepared(folder as string)
  const data = folder ?? request.data
  const entry = datasetEntry(dataset)
  checkFolder('data inspect', entry, data)
  const asked = dataRequest(dataset, dataPath(data), request)
  asUsage(() => checkSettings(entry, asked))
  return inspectDataset(asked, request.seed ?? 1)
}

function jsonText(
  { dataset, place, shape, train, test, sizes }: Inspection,
  counted: Counted,
  sheet: WrittenSheet | undefined,
): string {
  const named = (
    half: Inspection['train'],
    { count, classCounts, groupCounts, cellCounts }: ImageSummary,
  ) => ({
    count,
    classes: byName(half.classNames, classCounts),
    ...(groupCounts && { groups: byName(half.groupNames ?? [], groupCounts) }),
    ...(cellCounts && { cells: half.cells, trueCells: cellCounts }),
  })
  return JSON.stringify({
    dataset,
    place,
    shape,
    train: named(train, counted.train),
    test: named(test, counted.test),
    ...(sizes && { sizes }),
    ...(sheet && { sheet }),
  })
}

function byName(names: readonly string[], counts: readonly number[]): Record<string, number> {
  return Object.fromEntries(names.map((name, i) => [name, counts[i] ?? 0]))
}

function summaryText(
  { dataset, place, shape, train, sizes }: Inspection,
  counted: Counted,
  sheet: WrittenSheet | undefined,
): string {
  const { count, classCounts, groupCounts } = counted.train
  const parts = [
    `${dataset} in ${place}\n${count} training and ${counted.test.count} test images, ${shape.join('x')}, ${train.classNames.length} classes`,
    balanceTable('class', train.classNames, counted, ({ classCounts }) => classCounts),
    balanceText('classes', classCounts),
  ]
  if (groupCounts && train.groupNames) {
    parts.push(
      balanceTable('group', train.groupNames, counted, half => half.groupCounts ?? []),
      balanceText('groups', groupCounts),
    )
  }
  if (counted.train.cellCounts && train.cells) parts.push(cellText(counted.train.cellCounts, train.cells))
  if (sizes) parts.push(sizesText(sizes))
  if (sheet) parts.push(sheetText(sheet))
  return parts.join('\n\n')
}

function balanceTable(
  what: string,
  names: readonly string[],
  { train, test }: Counted,
  countsOf: (half: ImageSummary) => readonly number[],
): string {
  const share = (half: ImageSummary, i: number) => percent((countsOf(half)[i] ?? 0) / half.count)
  const rows = names.map((name, i) => [
    name,
    `${countsOf(train)[i]}`,
    share(train, i),
    `${countsOf(test)[i]}`,
    share(test, i),
  ])
  return textTable([what, 'train', 'share', 'test', 'share'], rows)
}

function balanceText(what: string, counts: readonly number[]): string {
  const ratio = imbalance(counts)
  if (ratio === 1) return `Training ${what} are balanced.`
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  const times = Number.isFinite(ratio) ? `, ${ratio.toFixed(2)} times as many` : ''
  return `Training ${what} have between ${least} and ${most} images${times}.`
}

/** Where the labelled patch is, as the grid itself. */
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

function sizesText({ examined, smallest, median, largest }: NonNullable<Inspection['sizes']>): string {
  const size = (pixels: readonly number[]) => pixels.join('x')
  return `Image files (height x width, ${examined} looked at): ${size(smallest)} to ${size(largest)}, median ${size(median)}`
}

function sheetText({ path, images, unreadable }: WrittenSheet): string {
  const missing = unreadable.map(reason => `\n  ${reason}`).join('')
  return `Contact sheet of ${images} training images: ${path}${missing && `\n${unreadable.length} could not be decoded:${missing}`}`
}
