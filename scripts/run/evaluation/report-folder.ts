import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import type { ExportFolder, ExportPlace } from '../../../src/files/export-output.js'
import { figurePng } from '../../../src/files/images/figure-png.js'
import { writeSheetPng } from '../../../src/files/images/sheet-png.js'
import { confusionFigure, confusionMatrix } from '../../../src/report/confusion-figure.js'
import { contactSheet } from '../../../src/report/contact-sheet.js'
import { printable } from '../../../src/report/escape.js'
import { valueText } from '../../../src/report/estimate-text.js'
import { type EvaluationPage, evaluationPage } from '../../../src/report/evaluation-page.js'
import { reliabilityFigure } from '../../../src/report/reliability-figure.js'
import { rocSheet } from '../../../src/report/roc-figure.js'
import { probabilityOf } from '../../../src/statistics/predictions.js'
import { csvLine } from '../../terminal/csv.js'
import { remarkText } from '../../terminal/remark-text.js'
import { classRows } from './evaluation-record.js'
import { type Measurement, nameOfImage } from './measurement.js'
import { rocCurves } from './roc-curves.js'
import { mostWrong, type ShownWrong } from './wrong-images.js'

const MARKER = 'evaluation.json'
/** Every file that a report may have. */
const reportFiles = [
  'index.html',
  'predictions.csv',
  'classes.csv',
  'confusions.csv',
  'confusions.png',
  'calibration.png',
  'roc.png',
  'most-wrong.png',
  MARKER,
] as const

const KIND = 'patch-moe evaluation'
const markerText = z.object({ kind: z.literal(KIND), files: z.array(z.enum(reportFiles)) })

/** How the folder of a report is recognised. */
const reportFolder: ExportFolder = {
  marker: MARKER,
  async list(directory) {
    try {
      const { files } = markerText.parse(JSON.parse(await readFile(join(directory, MARKER), 'utf8')))
      return files
    } catch {
      return undefined
    }
  },
}

/** Where a report goes. */
export function reportPlace(path: string, force: boolean): ExportPlace {
  return { where: 'evaluate', path, folder: reportFolder, force }
}

/** Probabilities of every class are written up to so many classes; of more only those of the class and of the predicted one. */
const MOST_COLUMNS = 100

/** What a report is made from. */
export interface ReportContent {
  readonly measurement: Measurement
  readonly classNames: readonly string[]
  /** As `evaluationRecord` makes it. */
  readonly record: Readonly<Record<string, unknown>>
  readonly page: Pick<EvaluationPage, 'title' | 'summary' | 'settings' | 'command'>
}

/** Writes the files of a report into an empty folder. */
export async function writeReport(
  folder: string,
  { measurement, classNames, record, page }: ReportContent,
): Promise<void> {
  const { report, thresholds, temperature, images, life } = measurement
  const wrong = await mostWrong(measurement, classNames)
  const curves = rocCurves(measurement, classNames)
  const html = evaluationPage({
    ...page,
    classNames,
    report,
    ...(thresholds && { thresholds }),
    ...(temperature && { temperature }),
    curves,
    mixtures: life.mixtures,
    remarks: life.signs.map(({ remark }) => remarkText(remark)),
    wrong,
    notes: images.notes,
  })
  const confusions = confusionFigure(confusionMatrix(classNames, report.confusions))
  const calibration = reliabilityFigure(report.calibration.bins, 'reliability diagram')
  const files: Partial<Record<(typeof reportFiles)[number], string | Uint8Array>> = {
    'index.html': html,
    'predictions.csv': lines(predictionRows(measurement, classNames)),
    'classes.csv': lines(classRows(measurement, classNames)),
    'confusions.csv': lines(confusionRows(measurement, classNames)),
    'confusions.png': await figurePng(confusions),
    'calibration.png': await figurePng(calibration),
    ...(curves.length > 0 && { 'roc.png': await figurePng(rocSheet(curves)) }),
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  if (wrong.length > 0) await writeSheet(join(folder, 'most-wrong.png'), wrong)
  const names = [...Object.keys(files), ...(wrong.length > 0 ? ['most-wrong.png'] : []), MARKER]
  await writeFile(
    join(folder, MARKER),
    `${JSON.stringify({ kind: KIND, files: names, ...record }, null, 2)}\n`,
  )
}

/** The most wrong images as one picture. */
async function writeSheet(path: string, wrong: readonly ShownWrong[]): Promise<void> {
  const { shape } = (wrong[0] as ShownWrong).image
  const captions = wrong.map(({ predictedClass, predictedProbability, trueClass }) => ({
    caption: `${predictedClass} ${valueText(predictedProbability, 'percent')} (${trueClass})`,
  }))
  const title = 'The most wrong images: predicted class (true class)'
  const sheet = contactSheet({ title, size: [shape[0], shape[1]], images: captions, columns: 6 })
  const pixels = new Uint8Array(Buffer.concat(wrong.map(({ image }) => image.pixels)))
  await writeSheetPng(path, sheet, pixels, shape)
}

/** Rows of values as a file; characters that would act instead of being visible are written as `\x1b`. */
function lines(rows: Iterable<readonly (string | number)[]>): string {
  return Array.from(rows, row => `${printable(csvLine(row))}\n`).join('')
}

function* predictionRows(
  { images: { set }, predictions }: Measurement,
  classNames: readonly string[],
): Generator<(string | number)[]> {
  const { labels, predicted } = predictions
  const columns = classNames.length <= MOST_COLUMNS ? classNames : []
  const name = (label: number | undefined) => classNames[label ?? -1] ?? String(label)
  const share = (item: number, label: number) =>
    Number(probabilityOf(predictions, item, label).toPrecision(9))
  yield [
    ...['image', 'class', 'predicted', 'right', 'probability of the class', 'probability of the predicted'],
    ...columns.map(className => `probability of ${className}`),
  ]
  for (const [item, label] of labels.entries()) {
    const guess = predicted[item] as number
    yield [
      ...[nameOfImage(set, item), name(label), name(guess), label === guess ? 'yes' : 'no'],
      ...[share(item, label), share(item, guess)],
      ...columns.map((_, column) => share(item, column)),
    ]
  }
}

function confusionRows({ report }: Measurement, classNames: readonly string[]): (string | number)[][] {
  const name = (label: number) => classNames[label] ?? String(label)
  const rows = report.confusions.map(({ label, predicted, count }) => [name(label), name(predicted), count])
  return [['class', 'predicted', 'images'], ...rows]
}
