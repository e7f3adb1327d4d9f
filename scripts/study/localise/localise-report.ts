import type { TopLevelSpec } from 'vega-lite'
import type { StudyTable } from '../../../src/report/study-page.js'
import { pointingFigureSpec } from '../../../src/report/study-pointing.js'
import { type SeedSummary, summarizeSeeds } from '../../../src/statistics/summary.js'
import type { LocaliseExperiment } from '../../experiments/experiment.js'
import type { CellResult } from '../cell-result.js'
import type { LocaliseGrid } from '../grids/large-images-grid.js'
import { grouped } from '../summary.js'
import { points, sharesText } from '../wording.js'

/** How often one method pointed at what decides the class, on one task. */
export interface PointingSummary {
  readonly setting: string
  readonly method: string
  /** Shares of the images; see `Hit`. */
  readonly inside: SeedSummary
  readonly near: SeedSummary
  /** Of the network that is explained. */
  readonly accuracy: SeedSummary
  /** Judged in each seed. */
  readonly images: number
}

/** Everything that a study of where networks look found, as numbers. */
export interface LocaliseSummary {
  readonly done: number
  readonly failed: number
  readonly points: readonly PointingSummary[]
}

/** Computes what a study of where networks look found so far. */
export function summarizeLocalise(
  { tasks }: Pick<LocaliseGrid, 'tasks'>,
  results: ReadonlyMap<number, CellResult>,
): LocaliseSummary {
  const all = [...results.values()]
  const rows = all.flatMap(result => {
    if (result.status !== 'done' || !result.localised) return []
    const { testAccuracy, images, pointing } = result.localised
    return pointing.map(hits => ({ ...hits, testAccuracy, images, setting: result.cell.setting ?? '' }))
  })
  const names = tasks.map(({ name }) => name)
  const pointsOfMethods = grouped(rows, ({ setting, method }) => `${setting}|${method}`).map(group => {
    const [{ setting, method, images }] = group as [(typeof group)[number]]
    return {
      setting,
      method,
      images,
      inside: summarizeSeeds(group.map(({ inside }) => inside)),
      near: summarizeSeeds(group.map(({ near }) => near)),
      accuracy: summarizeSeeds(group.map(({ testAccuracy }) => testAccuracy)),
    }
  })
  return {
    done: all.filter(({ status }) => status === 'done').length,
    failed: all.filter(({ status }) => status === 'failed').length,
    points: pointsOfMethods.sort(
      (a, b) => names.indexOf(a.setting) - names.indexOf(b.setting) || b.near.mean - a.near.mean,
    ),
  }
}

/** What a study of where networks look says of its claim, in sentences that its numbers decide. */
export function localiseFindings({ points: summaries }: LocaliseSummary): string[] {
  if (summaries.length === 0) return ['No run has ended yet.']
  return grouped(summaries, ({ setting }) => setting).map(ofTask => {
    const list = ofTask.map(
      ({ method, near, inside }) => `${method} ${points(near.mean)} % (${points(inside.mean)} % inside)`,
    )
    return `${ofTask[0]!.setting}: on what decides the class, or at most half a cell beside it, lies the strongest point of ${list.join(', ')}.`
  })
}

/** The same in the few words of a row among other studies. */
export function localiseBrief({ points: summaries }: LocaliseSummary): string {
  if (summaries.length === 0) return 'nothing yet'
  return grouped(summaries, ({ setting }) => setting)
    .map(ofTask => {
      const list = ofTask.map(({ method, near }) => `${method} ${points(near.mean)}`)
      return `${ofTask[0]!.setting}: ${list.join(', ')} %`
    })
    .join('; ')
}

/** The table of a study of where networks look. */
export function localiseTables({ points: summaries }: LocaliseSummary): StudyTable[] {
  if (summaries.length === 0) return []
  return [
    {
      title: 'Pointing game',
      head: ['', 'method', 'near, %', 'inside, %', 'test accuracy of its network, %', 'seeds', 'images each'],
      rows: summaries.map(({ setting, method, near, inside, accuracy, images }) => [
        setting,
        method,
        sharesText(near),
        sharesText(inside),
        isOfNetwork(method) ? sharesText(accuracy) : '',
        String(near.count),
        String(images),
      ]),
      note: 'Share of the test images with something to be found whose strongest point lies on a thing that decides the class (inside), or at most half a cell beside it (near): mean ± standard deviation over the seeds. All methods point at the centre of a cell, or of a place of the last map, which are of one size. Grad-CAM and occlusion explain the true class.',
    },
  ]
}

/** Chance and the prior look without a network. */
function isOfNetwork(method: string): boolean {
  return method.includes(':')
}

/** The figure: a bar for each method, one panel a task. */
export function localiseFigure(
  { title }: Pick<LocaliseExperiment, 'title'>,
  { points: summaries }: LocaliseSummary,
): TopLevelSpec | undefined {
  if (summaries.length === 0) return undefined
  return pointingFigureSpec(
    summaries.map(({ setting, method, near, inside }) => ({
      panel: setting,
      method,
      near: near.mean,
      inside: inside.mean,
      ...(near.standardDeviation !== undefined && { deviation: near.standardDeviation }),
    })),
    { title },
  )
}
