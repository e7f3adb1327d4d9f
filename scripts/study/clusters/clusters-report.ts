import type { TopLevelSpec } from 'vega-lite'
import { clustersFigureSpec } from '../../../src/report/study-clusters.js'
import type { StudyTable } from '../../../src/report/study-page.js'
import type { Band, ClustersExperiment } from '../../experiments/experiment.js'
import { points, signed, spreadText } from '../wording.js'
import type { BandVerdict, ClustersPoint, ClustersSummary } from './clusters-summary.js'

/** Entropy of a routing that does not tell four clusters apart. */
const blindEntropy = Math.log(4)

/** What a study of clusters says of its claim, in sentences that its numbers decide. */
export function clustersFindings(
  { order, ceilings }: Pick<ClustersExperiment, 'order' | 'ceilings'>,
  summary: ClustersSummary,
): string[] {
  if (summary.points.length === 0) return ['No run has ended yet.']
  return [
    ...orderFindings(order, summary.points),
    ...ceilingFindings(ceilings, order.singles, summary.points),
    ...bandFindings(summary.points),
    ...summary.pairs.flatMap(pairFinding),
  ]
}

function settingsOf(summaries: readonly ClustersPoint[]): string[] {
  return [...new Set(summaries.map(({ setting }) => setting))]
}

function meanOf(summaries: readonly ClustersPoint[], setting: string, variant: string): number | undefined {
  return summaries.find(point => point.setting === setting && point.variant === variant)?.accuracy.mean
}

/** Whether the order holds in a setting; undefined where a mean is missing. */
function isOrdered(
  { singles, linear, nonlinear }: ClustersExperiment['order'],
  summaries: readonly ClustersPoint[],
  setting: string,
): boolean | undefined {
  const [top, middle] = [meanOf(summaries, setting, nonlinear), meanOf(summaries, setting, linear)]
  const others = singles.map(name => meanOf(summaries, setting, name))
  if (top === undefined || middle === undefined || others.includes(undefined)) return undefined
  return top > middle && others.every(mean => middle > (mean as number))
}

function orderFindings(order: ClustersExperiment['order'], summaries: readonly ClustersPoint[]): string[] {
  const known = settingsOf(summaries).filter(setting => isOrdered(order, summaries, setting) !== undefined)
  if (known.length === 0) return []
  const broken = known.filter(setting => !isOrdered(order, summaries, setting))
  const sentence = `${order.nonlinear} above ${order.linear} above every single model`
  return [
    broken.length === 0
      ? `${sentence}: so in ${known.join(', ')}.`
      : `${sentence}: not in ${broken.join(', ')} (of ${known.join(', ')}).`,
  ]
}

function ceilingFindings(
  ceilings: ClustersExperiment['ceilings'],
  singles: readonly string[],
  summaries: readonly ClustersPoint[],
): string[] {
  return Object.entries(ceilings).flatMap(([setting, ceiling]) => {
    const means = singles.flatMap(name => meanOf(summaries, setting, name) ?? [])
    if (means.length === 0) return []
    const best = Math.max(...means)
    return [
      `In ${setting} the best single model has ${points(best)} %: ${100 * best < ceiling ? 'below' : 'NOT below'} the ceiling of ${ceiling} %.`,
    ]
  })
}

function verdicts(summaries: readonly ClustersPoint[]) {
  return summaries.flatMap(({ variant, setting, bands }) =>
    (['accuracy', 'entropy'] as const).flatMap(of => {
      const verdict = bands?.[of]
      return verdict ? [{ variant, setting, of, ...verdict }] : []
    }),
  )
}

function bandFindings(summaries: readonly ClustersPoint[]): string[] {
  const all = verdicts(summaries)
  if (all.length === 0) return []
  const missed = all.filter(({ holds }) => !holds)
  const list = missed.map(
    ({ variant, setting, of, band }) => `${of} of ${variant} in ${setting} (${bandText(band)})`,
  )
  return [
    `${all.length - missed.length} of ${all.length} means lie in the bands of a correct run${missed.length > 0 ? `; not the ${list.join(', ')}` : ''}.`,
  ]
}

function pairFinding({ variant, baseline, setting, difference }: ClustersSummary['pairs'][number]): string[] {
  const { mean, interval, count } = difference
  if (!interval) return []
  return [
    `${setting}, ${variant} against ${baseline}, paired over ${count} seeds: ${signed(mean)} points (95 % interval ${signed(interval.lower)} to ${signed(interval.upper)}).`,
  ]
}

/** The same in the few words of a row among other studies. */
export function clustersBrief(
  { order }: Pick<ClustersExperiment, 'order'>,
  { points: summaries }: ClustersSummary,
): string {
  if (summaries.length === 0) return 'nothing yet'
  const settings = settingsOf(summaries)
  const row = (name: string) => {
    const means = settings.map(setting => meanOf(summaries, setting, name))
    return means.every(mean => mean === undefined)
      ? []
      : [`${name} ${means.map(mean => (mean === undefined ? '–' : points(mean))).join(' / ')}`]
  }
  const rows = [order.nonlinear, order.linear, ...order.singles].flatMap(row)
  const all = verdicts(summaries)
  const held = all.filter(({ holds }) => holds).length
  const bands = all.length > 0 ? `; ${held} of ${all.length} bands hold` : ''
  return `${rows.join('; ')} % in ${settings.join(' / ')}${bands}`
}

/** The tables of a study of clusters. */
export function clustersTables(
  { variants }: Pick<ClustersExperiment, 'variants'>,
  { points: summaries, pairs }: ClustersSummary,
): StudyTable[] {
  if (summaries.length === 0) return []
  const published: PublishedOf = ({ variant, setting }) =>
    variants.find(({ name }) => name === variant)?.published?.[setting]
  const routed = summaries.filter(({ routing }) => routing)
  return [
    accuracyTable(summaries, published),
    ...(routed.length > 0 ? [entropyTable(routed, published)] : []),
    ...(pairs.length > 0 ? [pairsTable(pairs)] : []),
  ]
}

/** What the published code reports of the same network in the same setting. */
type PublishedOf = (
  point: ClustersPoint,
) => { readonly accuracy: readonly number[]; readonly entropy?: readonly number[] } | undefined

function accuracyTable(summaries: readonly ClustersPoint[], published: PublishedOf): StudyTable {
  const seeds = [...new Set(summaries.map(({ accuracy }) => accuracy.count))].sort((a, b) => a - b)
  const over = `${seeds.length === 1 ? seeds[0] : `${seeds[0]} to ${seeds.at(-1)}`} seeds`
  return {
    title: 'Test accuracy',
    head: ['', 'network', 'without noise', 'with noise', 'published', 'band', 'holds', 'steps'],
    rows: summaries.map(point => [
      point.setting,
      point.variant,
      percentText(point.accuracy),
      point.noisyAccuracy ? percentText(point.noisyAccuracy) : '',
      numbersText(published(point)?.accuracy, 2),
      ...verdictCells(point.bands?.accuracy),
      spreadText(point.steps, 0),
    ]),
    note: `Percent: mean ± standard deviation over ${over}, each with its own basis, data and weights. With noise: the routing of training, which the published numbers were measured with. Bands: where the mean of a correct run lies.`,
  }
}

function entropyTable(routed: readonly ClustersPoint[], published: PublishedOf): StudyTable {
  return {
    title: 'Entropy of the routing',
    head: [
      '',
      'network',
      'test, without noise',
      'test, with noise',
      'training, with noise',
      'published',
      'band',
      'holds',
      'dead experts',
      'gates below 0, %',
    ],
    rows: routed.map(point => {
      const { entropy, noisyEntropy, trainEntropy, deadExperts, negativeGates } = point.routing!
      return [
        point.setting,
        point.variant,
        spreadText(entropy, 3),
        spreadText(noisyEntropy, 3),
        spreadText(trainEntropy, 3),
        numbersText(published(point)?.entropy, 3),
        ...verdictCells(point.bands?.entropy),
        spreadText(deadExperts, 1),
        points(negativeGates.mean),
      ]
    }),
    note: 'Nats: 0 when every expert gets samples of one cluster, ln 4 = 1.386 when experts do not tell clusters apart. The published ones are of training samples, with noise.',
  }
}

function pairsTable(pairs: ClustersSummary['pairs']): StudyTable {
  return {
    title: 'Seed by seed',
    head: ['', 'network', 'against', 'difference', '95 % interval', 'ahead / behind', 'p (permutation)'],
    rows: pairs.map(({ setting, variant, baseline, difference: d }) => [
      setting,
      variant,
      baseline,
      signed(d.mean),
      d.interval ? `${signed(d.interval.lower)} to ${signed(d.interval.upper)}` : '',
      `${d.ahead} / ${d.behind}`,
      d.permutationTest.toPrecision(2),
    ]),
    note: 'Points of percent, test accuracy without noise.',
  }
}

function verdictCells(verdict: BandVerdict | undefined): [band: string, holds: string] {
  return verdict ? [bandText(verdict.band), verdict.holds ? 'yes' : 'NO'] : ['', '']
}

function bandText([from, to]: Band): string {
  return `${from} to ${to}`
}

function percentText({ mean, standardDeviation }: ClustersPoint['accuracy']): string {
  const spread = standardDeviation === undefined ? '' : ` ± ${(100 * standardDeviation).toFixed(2)}`
  return (100 * mean).toFixed(2) + spread
}

/** A published mean and, where there is one, its standard deviation. */
function numbersText([mean, deviation]: readonly number[] = [], digits: number): string {
  if (mean === undefined) return ''
  return mean.toFixed(digits) + (deviation === undefined ? '' : ` ± ${deviation.toFixed(digits)}`)
}

/** The figure of a study of clusters; undefined while there is nothing to draw. */
export function clustersFigure(
  { title, variants, figure }: ClustersExperiment,
  { points: summaries }: ClustersSummary,
): TopLevelSpec | undefined {
  const drawn = figure.flatMap(name => summaries.filter(({ variant }) => variant === name))
  if (drawn.length === 0) return undefined
  return clustersFigureSpec(
    {
      bars: drawn.map(({ variant, setting, accuracy }) => {
        const numbers = variants.find(({ name }) => name === variant)?.published?.[setting]
        return {
          series: variant,
          setting,
          accuracy: accuracy.mean,
          ...(accuracy.standardDeviation !== undefined && { deviation: accuracy.standardDeviation }),
          ...(numbers && { published: numbers.accuracy[0]! / 100 }),
        }
      }),
      entropies: drawn.flatMap(({ variant, setting, routing }) =>
        (routing?.entropies ?? []).map(point => ({ series: variant, setting, ...point })),
      ),
      blindEntropy,
    },
    { title },
  )
}
