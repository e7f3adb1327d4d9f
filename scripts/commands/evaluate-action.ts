import { join } from 'node:path'
import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { shellCommand } from '../../src/cluster/shell-command.js'
import type { UnreadableLimit } from '../../src/data/unreadable-images.js'
import { checkPlace, placeExport } from '../../src/files/export-output.js'
import { estimateText, valueText } from '../../src/report/estimate-text.js'
import type { ThresholdGoal } from '../../src/statistics/decision-threshold.js'
import type { Evaluation } from '../../src/train/evaluate.js'
import type { TrainingData } from '../../src/train/feed.js'
import { type EvaluatedImages, folderImages, runImages } from '../run/evaluation/evaluated-images.js'
import { EvaluatedModel } from '../run/evaluation/evaluated-model.js'
import { evaluationRecord } from '../run/evaluation/evaluation-record.js'
import { classTable, reportText } from '../run/evaluation/evaluation-text.js'
import { type Measurement, measure } from '../run/evaluation/measurement.js'
import { reportPlace, writeReport } from '../run/evaluation/report-folder.js'
import { noiseText, routingRecord, routingText } from '../run/routing-text.js'
import type { PlainModelRequest } from '../run/transfer/plain-model.js'
import { interruptedExitCode, onInterrupt } from '../terminal/interrupt.js'
import { remarkText } from '../terminal/remark-text.js'
import { noteText } from '../terminal/safe-output.js'
import { textTable } from '../terminal/text-table.js'
import { keptText, percent } from '../terminal/training-log.js'
import { UsageError } from '../terminal/usage-error.js'
import { wrappedText } from '../terminal/wrapped-text.js'

/** The flags of `pmoe evaluate`. */
export interface EvaluateRequest extends PlainModelRequest {
  readonly data?: string
  /** A labelled folder to choose thresholds and the temperature on. */
  readonly validation?: string
  /** What thresholds are to reach, in the place of the best F1. */
  readonly precision?: number
  readonly maxUnreadable?: UnreadableLimit
  /** Where the report goes. */
  readonly report?: string
  readonly force?: boolean
  /** L, in the place of that of training. */
  readonly patchesPerExpert?: number
  readonly backend?: BackendName | 'auto'
  readonly routingNoise?: boolean
  /** Whether each image is seen mirrored as well. */
  readonly testFlips?: boolean
  readonly json?: boolean
}

/**
 * Evaluates a model on the test images of its run, or on those of a folder, and writes what it measured; with a report,
 * whole or not at all.
 */
export async function runEvaluate(
  path: string,
  folder: string | undefined,
  request: EvaluateRequest,
): Promise<void> {
  const place = request.report === undefined ? undefined : reportPlace(request.report, request.force ?? false)
  if (place) await checkPlace(place)
  const backend = await useBackend(request.backend ?? 'auto')
  const model = await EvaluatedModel.open(path, { ...request, needsImages: folder === undefined })
  const { images, chooseOn } = await evaluatedImages(model, folder, request)
  for (const note of images.notes) process.stderr.write(`${noteText(note)}\n`)
  const interrupt = onInterrupt(() => process.stderr.write('Stopping; nothing is written ...\n'))
  const { signal } = interrupt
  try {
    const measurement = await measure(model, {
      images,
      ...(chooseOn && { chooseOn }),
      goal: goalOf(request),
      routingNoise: request.routingNoise ?? false,
      signal,
    })
    signal.throwIfAborted()
    const record = { run: path, backend: backend.name, ...recordOf(model, measurement) }
    if (place) {
      const command = commandOf(path, folder, request)
      const page = {
        ...titles(model, measurement),
        settings: settingsOf(path, measurement, backend.name),
        command,
      }
      await placeExport(place, async staging => {
        await writeReport(staging, { measurement, classNames: model.classNames, record, page })
        signal.throwIfAborted()
      })
    }
    if (request.json) process.stdout.write(`${JSON.stringify(record)}\n`)
    else process.stdout.write(textOf(model, measurement, backend.name, request))
  } catch (error) {
    if (!signal.aborted) throw error
    process.exitCode = interruptedExitCode
  } finally {
    interrupt.release()
  }
}

function goalOf({ precision }: EvaluateRequest): ThresholdGoal {
  return precision === undefined ? 'best-f1' : { precision }
}

interface ChosenImages {
  readonly images: EvaluatedImages
  readonly chooseOn?: EvaluatedImages
}

/** The images to be evaluated, and those that thresholds are chosen on where these are wanted. */
async function evaluatedImages(
  model: EvaluatedModel,
  folder: string | undefined,
  request: EvaluateRequest,
): Promise<ChosenImages> {
  const { config } = model.opened
  const { data, validation, precision, report, maxUnreadable } = request
  const limit = maxUnreadable ?? config?.dataset.maxUnreadable
  const read = (path: string, flag: string) =>
    folderImages(model, path, { flag, ...(limit !== undefined && { maxUnreadable: limit }) })
  const chosen = validation === undefined ? undefined : await read(validation, '--validation')
  if (folder === undefined && config) {
    const run = await runImages(config, data)
    const chooseOn = chosen ?? (report !== undefined || precision !== undefined ? run.validation : undefined)
    if (precision !== undefined && !chooseOn) throw nothingToChooseOn(model.name)
    return { images: run.test, ...(chooseOn && { chooseOn }) }
  }
  if (precision !== undefined && !chosen) throw nothingToChooseOn(model.name)
  return { images: await read(folder as string, 'the folder'), ...(chosen && { chooseOn: chosen }) }
}

function nothingToChooseOn(name: string): UsageError {
  return new UsageError(
    `evaluate: --precision must come with images to choose thresholds on, got no validation images of ${name} ` +
      '(--validation names a folder of them)',
  )
}

/** Everything that was measured, as JSON. */
function recordOf(model: EvaluatedModel, measurement: Measurement): Record<string, unknown> {
  const { evaluation, images } = measurement
  const { set } = images
  const { loss, accuracy, perClass, perGroup, worstGroup, count, kept } = evaluation
  const { parameters, multiplyAdds } = model.cost(set)
  const classes = Object.fromEntries(model.classNames.map((name, i) => [name, perClass[i]]))
  return {
    accuracy,
    loss,
    count,
    perClass: classes,
    ...(perGroup && {
      perGroup: Object.fromEntries((set.groupNames ?? []).map((name, i) => [name, perGroup[i]])),
      worstGroup,
    }),
    parameters: parameters.total,
    multiplyAdds: multiplyAdds.forward,
    ...(kept && { kept }),
    ...routingRecord(evaluation),
    ...evaluationRecord(measurement, model.classNames),
  }
}

function textOf(
  model: EvaluatedModel,
  measurement: Measurement,
  backend: string,
  { report: reportPath }: EvaluateRequest,
): string {
  const { evaluation, images, report, thresholds, temperature, life } = measurement
  const { loss, kept, routing = [], withNoise } = evaluation
  const { parameters, multiplyAdds } = model.cost(images.set)
  const floor = model.lossFloor > 0 ? ` (at least ${model.lossFloor.toFixed(4)})` : ''
  const parts = [
    `${model.name} on ${images.description} (backend ${backend})
accuracy ${estimateText(report.accuracy, 'percent')}, loss ${loss.toFixed(4)}${floor}
${parameters.total.toLocaleString('en-US')} parameters, ${multiplyAdds.forward.toLocaleString('en-US')} multiply-adds a sample

${classTable(report, model.classNames)}

${reportText(report, model.classNames)}
`,
    groupsText(evaluation, images.set),
    thresholds
      ? `thresholds for ${thresholds.goal} chosen on ${thresholds.chosenOn}${reportPath === undefined ? ' (--report or --json shows them)' : ''}\n`
      : '',
    temperature
      ? `temperature ${temperature.temperature.toFixed(2)}, then calibration error ${valueText(temperature.scaled.calibration.error.value, 'percent')}\n`
      : '',
    kept ? `${keptText(kept)}\n` : '',
    life.signs.map(({ remark }) => `\n${wrappedText(remarkText(remark), 80)}\n`).join(''),
    routing.map(routingText).join(''),
    withNoise ? noiseText(withNoise) : '',
    reportPath === undefined ? '' : `Report: ${join(reportPath, 'index.html')}\n`,
  ]
  return parts.join('')
}

function groupsText({ perGroup, worstGroup }: Evaluation, { groupNames = [] }: TrainingData): string {
  if (!perGroup || worstGroup === undefined) return ''
  const rows = groupNames.map((name, i) => [name, valueText(perGroup[i] ?? Number.NaN, 'percent')])
  return `\n${textTable(['group', 'accuracy'], rows)}\nworst group ${percent(worstGroup)}\n`
}

function titles(
  model: EvaluatedModel,
  { images, report }: Measurement,
): { readonly title: string; readonly summary: string } {
  return {
    title: `${model.name} on ${images.description}`,
    summary: `${estimateText(report.accuracy, 'percent')} of the images are classified rightly.`,
  }
}

function settingsOf(
  path: string,
  { images, thresholds, report }: Measurement,
  backend: string,
): [string, string][] {
  return [
    ['model', path],
    ['images', images.description],
    ['backend', backend],
    [
      'intervals',
      '95%: Wilson for shares, 1,000 bootstrap draws from the images of each class for the others',
    ],
    [
      'calibration',
      `${report.calibration.bins.length} bins of equal width by the probability of the predicted class`,
    ],
    [
      'thresholds',
      thresholds ? `for ${thresholds.goal}, chosen on ${thresholds.chosenOn}` : 'none: no validation images',
    ],
  ]
}

function commandOf(path: string, folder: string | undefined, request: EvaluateRequest): string {
  const {
    data,
    validation,
    precision,
    classNames,
    inputScaling,
    maxUnreadable,
    patchesPerExpert,
    backend,
    report,
  } = request
  const flags: readonly (readonly [string, string | number | undefined])[] = [
    ['--data', data],
    ['--validation', validation],
    ['--precision', precision],
    ['--class-names', classNames],
    ['--input-scaling', inputScaling],
    ['--max-unreadable', maxUnreadable],
    ['--patches-per-expert', patchesPerExpert],
    ['--backend', backend],
    ['--report', report],
  ]
  const given = flags.flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)]))
  if (request.testFlips) given.push('--test-flips')
  return shellCommand(['pmoe', 'evaluate', path, ...(folder === undefined ? [] : [folder]), ...given])
}
