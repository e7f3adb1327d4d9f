import type { Measure } from '../experiments/experiment.js'
import type { CellResult, DoneCell, Trained } from './cell-result.js'

/** One number of one run that a figure is made of. */
export interface Observation {
  /** Which line of the figure it belongs to. */
  readonly series: string
  readonly samples: number
  readonly seed: number
  /** In [0, 1]. */
  readonly value: number
  readonly patchesPerExpert?: number
  readonly experts?: number
}

/** The numbers that runs gave for a measure; runs that failed, or do not know it, give none. */
export function observationsOf(results: Iterable<CellResult>, measure: Measure): Observation[] {
  return [...results].flatMap(result => {
    if (result.status !== 'done' || !result.trained) return []
    const { samples = 0, seed, patchesPerExpert, experts } = result.cell
    const setting = {
      samples,
      seed,
      ...(patchesPerExpert !== undefined && { patchesPerExpert }),
      ...(experts !== undefined && { experts }),
    }
    return valuesOf(result, result.trained, measure).map(([series, value]) => ({ series, value, ...setting }))
  })
}

function valuesOf(
  { cell }: DoneCell,
  { testAccuracy, worstGroup, routing }: Trained,
  measure: Measure,
): (readonly [series: string, value: number])[] {
  switch (measure.of) {
    case 'accuracy':
      return [[cell.variant, testAccuracy]]
    case 'worst-group':
      return worstGroup === undefined ? [] : [[cell.variant, worstGroup]]
    case 'own-recall':
      return measure.ranks.flatMap(rank => {
        const share = routing?.ownRecall?.[rank - 1]
        return share === undefined ? [] : [[`top ${rank}`, share] as const]
      })
    case 'largest-gate':
      return (routing?.largestGate ?? []).flatMap(({ share }, label) =>
        share === null ? [] : [[`class ${label + 1}`, share] as const],
      )
  }
}
