import { AVERAGED, type ClassificationReport } from '../../../src/statistics/classification-report.js'
import type { Measurement } from './measurement.js'

/**
 * What was measured, as JSON: shares in [0, 1], losses in nats; null for what is not defined.
 *
 * @param classNames in the order of the model's outputs
 */
export function evaluationRecord(
  { report, thresholds, temperature, images, life }: Measurement,
  classNames: readonly string[],
): Record<string, unknown> {
  const { classes, confusions, accuracy, macro, weighted, logLoss, brier, calibration } = report
  const name = (label: number) => classNames[label] ?? String(label)
  return {
    images: images.description,
    accuracyInterval: accuracy.interval,
    classes: classes.map((score, label) => ({ class: name(label), ...score })),
    macro,
    weighted,
    logLoss,
    brier,
    calibration,
    confusions: confusions.map(({ label, predicted, count }) => ({
      class: name(label),
      predicted: name(predicted),
      count,
    })),
    ...(thresholds && {
      thresholds: {
        goal: thresholds.goal,
        chosenOn: thresholds.chosenOn,
        classes: thresholds.classes.map((entry, label) => ({ class: name(label), ...entry })),
      },
    }),
    ...(temperature && { temperature }),
    ...(life.mixtures.length > 0 && { mixtures: life.mixtures, signs: life.signs }),
    ...(images.notes.length > 0 && { notes: images.notes }),
  }
}

/** The names and rows of a table of all classes, for a file of comma-separated values; empty for what is not defined. */
export function classRows(
  { report: { classes }, thresholds }: Measurement,
  classNames: readonly string[],
): (string | number)[][] {
  const bounds = (interval: ClassificationReport['classes'][number]['recallInterval']) =>
    interval ? [interval.lower, interval.upper] : ['', '']
  const head = [
    ...['class', 'images', 'predicted', 'right', ...AVERAGED],
    ...['precision from', 'precision to', 'recall from', 'recall to'],
    ...(thresholds ? ['threshold', 'precision there', 'recall there', 'f1 there'] : []),
  ]
  const rows = classes.map((score, label) => {
    const entry = thresholds?.classes[label]
    const { measured } = entry ?? {}
    return [
      classNames[label] ?? String(label),
      ...[score.count, score.predicted, score.right],
      ...AVERAGED.map(name => score[name]),
      ...bounds(score.precisionInterval),
      ...bounds(score.recallInterval),
      ...(thresholds
        ? [
            entry?.chosen.threshold ?? '',
            ...[measured?.precision, measured?.recall, measured?.f1].map(value => value ?? ''),
          ]
        : []),
    ].map(value => (Number.isNaN(value) ? '' : value))
  })
  return [head, ...rows]
}
