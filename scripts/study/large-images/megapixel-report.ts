import type { TopLevelSpec } from 'vega-lite'
import { megapixelFigureSpec } from '../../../src/report/study-megapixel.js'
import type { StudyTable } from '../../../src/report/study-page.js'
import type { MegapixelExperiment } from '../../experiments/experiment.js'
import { points, sharesText, signed, spreadText } from '../wording.js'
import type { LargeImagesPoint, LargeImagesTime, MegapixelSummary } from './megapixel-summary.js'

/** What a study of large images says of its claim, in sentences that its numbers decide. */
export function megapixelFindings(
  { baseline }: Pick<MegapixelExperiment, 'baseline'>,
  summary: MegapixelSummary,
): string[] {
  if (summary.points.length === 0 && summary.times.length === 0) return ['No run has ended yet.']
  return [
    ...summary.points.flatMap(point => differenceFinding(point, baseline)),
    ...recallFindings(summary.points),
    ...timeFindings(summary.times, baseline),
  ]
}

function differenceFinding(
  { setting, variant, samples, difference }: LargeImagesPoint,
  baseline: string,
): string[] {
  if (!difference) return []
  const { mean, interval, count } = difference
  const range = interval
    ? ` (95 % interval ${signed(interval.lower)} to ${signed(interval.upper)}, ${count} seeds)`
    : ' (one seed)'
  return [`${setting}, ${samples} images, ${variant} − ${baseline}: ${signed(mean)} points${range}.`]
}

function recallFindings(summaries: readonly LargeImagesPoint[]): string[] {
  const known = summaries.filter(({ recall }) => recall)
  if (known.length === 0) return []
  const list = known.map(
    ({ setting, variant, samples, recall }) =>
      `${variant} ${points(recall!.mean)} % (${setting}, ${samples} images)`,
  )
  return [`Recall of the things that decide the class, on test images: ${list.join('; ')}.`]
}

function timeFindings(times: readonly LargeImagesTime[], baseline: string): string[] {
  return times.flatMap(({ side, variant, multiplyAdds, ratio }) => {
    const base = times.find(time => time.side === side && time.variant === baseline)
    if (!base || !ratio || variant === baseline) return []
    return [
      `At ${side}x${side} a training step of ${variant} takes ${ratio.mean.toFixed(3)} of the time of ${baseline}, a forward pass ${(multiplyAdds / base.multiplyAdds).toFixed(3)} of its multiply-adds.`,
    ]
  })
}

/** The same in the few words of a row among other studies. */
export function megapixelBrief(
  { baseline }: Pick<MegapixelExperiment, 'baseline'>,
  { points: summaries, times }: MegapixelSummary,
): string {
  if (summaries.length === 0) return 'nothing yet'
  const settings = [...new Set(summaries.map(({ setting }) => setting))]
  const rows = settings.map(setting => {
    const known = summaries.filter(point => point.setting === setting)
    const samples = middleSamples(known)
    const list = known
      .filter(point => point.samples === samples)
      .map(({ variant, accuracy }) => `${variant} ${points(accuracy.mean)}`)
    return `${setting}, ${samples} images: ${list.join(', ')} %`
  })
  const largest = times.filter(({ side }) => side === times.at(-1)?.side)
  const fastest = largest.find(({ variant }) => variant.startsWith('routed'))
  const time = fastest?.ratio
    ? `; ${fastest.variant} takes ${fastest.ratio.mean.toFixed(2)} of the time of ${baseline} at ${fastest.side}x${fastest.side}`
    : ''
  return rows.join('; ') + time
}

/** The number of images on which most networks were trained. */
function middleSamples(summaries: readonly LargeImagesPoint[]): number {
  const counts = new Map<number, number>()
  for (const { samples, accuracy } of summaries) {
    counts.set(samples, (counts.get(samples) ?? 0) + accuracy.count)
  }
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0
}

/** The tables of a study of large images. */
export function megapixelTables(summary: MegapixelSummary): StudyTable[] {
  const { points: summaries, times } = summary
  const routed = summaries.filter(({ recalls }) => recalls)
  return [
    ...(summaries.length > 0 ? [accuracyTable(summaries, times.length > 0)] : []),
    ...(routed.length > 0 ? [recallTable(routed)] : []),
    ...(times.length > 0 ? [timeTable(times)] : []),
  ]
}

function accuracyTable(summaries: readonly LargeImagesPoint[], hasTimes: boolean): StudyTable {
  return {
    title: 'Test accuracy',
    head: [
      '',
      'images',
      'network',
      'test accuracy, %',
      'of each seed',
      'difference to dense',
      'training accuracy, %',
      'recall, %',
      'forward, million multiply-adds',
      'training, s',
    ],
    rows: summaries.map(point => [
      point.setting,
      String(point.samples),
      point.program === undefined ? point.variant : `${point.variant} (${point.program})`,
      sharesText(point.accuracy),
      point.accuracies.map(value => points(value)).join(', '),
      point.difference ? signed(point.difference.mean) : '',
      points(point.trainAccuracy.mean),
      point.recall ? sharesText(point.recall) : '',
      (point.multiplyAdds / 1e6).toFixed(2),
      point.seconds.mean.toFixed(0),
    ]),
    note: `Mean ± standard deviation over the seeds, each with its own training images, weights and order. All have three convolutions of stride 2: dense on the whole image and view on the shrunken one, with the maximum over the last map; routed on patches, with K = 1 on 10 of them, with K = 4 each expert on 5. Recall: share of the things that decide the class of which 70 % lie in one kept patch, on test images. Seconds were taken on a machine that did other work, too${hasTimes ? '; they are to be compared by the times below' : ''}.`,
  }
}

/** Shares of the training at which recall is told. */
const moments = [0, 0.1, 0.25, 0.5, 1] as const

function recallTable(routed: readonly LargeImagesPoint[]): StudyTable {
  return {
    title: 'Recall against training',
    head: [
      '',
      'images',
      'network',
      ...moments.map(share => (share === 0 ? 'first epoch' : `${100 * share} % of the training`)),
    ],
    rows: routed.map(({ setting, samples, variant, recalls = [] }) => [
      setting,
      String(samples),
      variant,
      ...moments.map(share => points(recalls[Math.max(0, Math.round(share * recalls.length) - 1)] ?? 0)),
    ]),
    note: 'Percent, on the training images of the epoch, mean over the seeds.',
  }
}

function timeTable(times: readonly LargeImagesTime[]): StudyTable {
  return {
    title: 'Cost against the size of an image',
    head: [
      'side',
      'network',
      'forward, million multiply-adds',
      'training step, ms an image',
      'of the time of dense',
    ],
    rows: times.map(({ side, variant, multiplyAdds, milliseconds, ratio }) => [
      String(side),
      variant,
      (multiplyAdds / 1e6).toFixed(2),
      spreadText(milliseconds, 1),
      ratio ? spreadText(ratio, 3) : '',
    ]),
    note: 'Networks took turns, each step draws its images; ratios are of the steps of one cell.',
  }
}

/** The figure: accuracy against training images, recall against training, cost against the size of an image. */
export function megapixelFigure(
  { title }: Pick<MegapixelExperiment, 'title'>,
  { points: summaries, times }: MegapixelSummary,
): TopLevelSpec | undefined {
  if (summaries.length === 0) return undefined
  const samples = middleSamples(summaries.filter(({ recalls }) => recalls))
  return megapixelFigureSpec(
    {
      accuracies: summaries.map(({ setting, variant, samples: images, accuracy }) => ({
        series: variant,
        panel: setting,
        images,
        accuracy: accuracy.mean,
        ...(accuracy.standardDeviation !== undefined && { deviation: accuracy.standardDeviation }),
      })),
      recalls: summaries
        .filter(point => point.samples === samples && point.recalls)
        .flatMap(({ setting, variant, recalls = [] }) =>
          recalls.map((recall, epoch) => ({
            series: variant,
            panel: setting,
            done: (epoch + 1) / recalls.length,
            recall,
          })),
        ),
      costs: times.flatMap(({ side, variant, multiplyAdds, milliseconds }) => [
        { series: variant, panel: 'million multiply-adds, forward', side, value: multiplyAdds / 1e6 },
        { series: variant, panel: 'training step, ms an image', side, value: milliseconds.mean },
      ]),
    },
    { title, recallImages: samples },
  )
}
