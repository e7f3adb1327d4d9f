import type { TopLevelSpec } from 'vega-lite'
import type { StudyTable } from '../../../src/report/study-page.js'
import { transferFigureSpec } from '../../../src/report/study-transfer.js'
import type { TransferExperiment } from '../../experiments/transfer-experiment.js'
import { grouped } from '../summary.js'
import { points, sharesText, signed, spreadText } from '../wording.js'
import { settingKey, type TransferPoint, type TransferSummary } from './transfer-summary.js'

/** A mixture, and how far it is from the dense layer. */
type Compared = TransferPoint & Required<Pick<TransferPoint, 'difference' | 'kept'>>

function comparedIn({ points: all }: TransferSummary): Compared[] {
  return all.filter((point): point is Compared => point.difference !== undefined && point.kept !== undefined)
}

/** Whether the interval of a difference leaves no doubt about its sign; a single seed does. */
function isDecided({ difference: { interval } }: Compared): boolean {
  return interval !== undefined && (interval.lower > 0 || interval.upper < 0)
}

/** What a study of transfer says of its claim, in sentences that its numbers decide. */
export function transferFindings(summary: TransferSummary): string[] {
  const compared = comparedIn(summary)
  if (compared.length === 0) return ['No run has ended yet.']
  return grouped(compared, ({ body, samples }) => `${body}|${samples}`).map(group => {
    const [{ body, samples }] = group as [Compared]
    const ahead = group.filter(point => isDecided(point) && point.difference.mean > 0)
    const behind = group.filter(point => isDecided(point) && point.difference.mean < 0)
    const rest = group.length - ahead.length - behind.length
    const name = body === 'pretrained' ? pretrainedName(summary) : body
    return (
      `${name}, ${samples} images: of ${group.length} mixtures ${ahead.length} ahead of the dense layer` +
      `${listText(ahead)}, ${behind.length} behind${listText(behind)}, ${rest} undecided.`
    )
  })
}

function pretrainedName({ network }: TransferSummary): string {
  return network === undefined ? 'pretrained' : `pretrained (${network})`
}

function listText(of: readonly Compared[]): string {
  if (of.length === 0) return ''
  const list = of.map(
    ({ share, map, kept, difference }) =>
      `object ${share} %, map ${map}x${map}, ${kept} % kept: ${signed(difference.mean)}`,
  )
  return ` (${list.join('; ')} points)`
}

/** The same in the few words of a row among other studies. */
export function transferBrief(summary: TransferSummary): string {
  const compared = comparedIn(summary)
  if (compared.length === 0) return 'nothing yet'
  return grouped(compared, ({ body }) => body)
    .map(group => {
      const [{ body }] = group as [Compared]
      const differences = group.map(({ difference }) => difference.mean)
      const decided = group.filter(isDecided)
      const ahead = decided.filter(({ difference }) => difference.mean > 0).length
      return (
        `${body}, mixture − dense: ${signed(Math.min(...differences))} to ${signed(Math.max(...differences))} points, ` +
        `ahead in ${ahead}, behind in ${decided.length - ahead} of ${group.length} settings`
      )
    })
    .join('; ')
}

/** The table of a study of transfer. */
export function transferTables({ points: all }: TransferSummary): StudyTable[] {
  if (all.length === 0) return []
  return [
    {
      title: 'Test accuracy',
      head: [
        'before it',
        'images',
        'object, % of the image',
        'map',
        'a cell sees, % of the side',
        'layer',
        'test accuracy, %',
        'difference to dense, 95 % interval',
        'training accuracy, %',
        'whole network, million multiply-adds',
        'its layer, of dense',
        'training time, of dense',
        'seeds',
      ],
      rows: all.map(point => rowOf(point, all)),
      note: 'Mean ± standard deviation over the seeds; differences are paired by seed. The layer is 1x1 with 64 filters, as one convolution or as 4 experts which keep a part of the patches: single cells of maps up to 8x8, 64 blocks of larger ones. Behind it are ReLU, the mean over the map and a softmax; its inputs from pretrained networks are frozen and standardised. Times were taken on a machine that did other work, too.',
    },
  ]
}

function rowOf(point: TransferPoint, all: readonly TransferPoint[]): string[] {
  const { body, samples, share, map, field, imageSide, kept, difference, timeRatio } = point
  const dense = all.find(other => other.kept === undefined && settingKey(other) === settingKey(point))
  const ofDense = dense && kept !== undefined ? point.layerMultiplyAdds / dense.layerMultiplyAdds : undefined
  const { interval } = difference ?? {}
  return [
    body,
    String(samples),
    String(share),
    `${map}x${map}`,
    field === undefined ? '' : ((100 * field) / imageSide).toFixed(0),
    kept === undefined ? 'dense' : `mixture, ${kept} % kept`,
    sharesText(point.accuracy),
    difference
      ? signed(difference.mean) + (interval ? ` [${signed(interval.lower)}, ${signed(interval.upper)}]` : '')
      : '',
    points(point.trainAccuracy.mean),
    (point.multiplyAdds / 1e6).toFixed(2),
    ofDense === undefined ? '' : ofDense.toFixed(2),
    timeRatio ? spreadText(timeRatio, 2) : '',
    String(point.accuracy.count),
  ]
}

/** The figure: differences by map and object, for each body, number of images and share kept. */
export function transferFigure(
  { title }: Pick<TransferExperiment, 'title'>,
  summary: TransferSummary,
): TopLevelSpec | undefined {
  const compared = comparedIn(summary)
  if (compared.length === 0) return undefined
  return transferFigureSpec(
    compared.map(point => ({
      panel: `${point.body}, ${point.samples} images`,
      share: point.share,
      map: point.map,
      kept: point.kept,
      difference: point.difference.mean,
      isDecided: isDecided(point),
      ...(point.difference.interval && { interval: point.difference.interval }),
    })),
    { title },
  )
}
