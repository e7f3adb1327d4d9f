import { type PairedDifference, pairedDifferences } from '../../../src/statistics/paired-difference.js'
import { type SeedSummary, summarizeSeeds } from '../../../src/statistics/summary.js'
import type { Trial } from '../../../src/statistics/trial.js'
import type { CellResult, Transferred } from '../cell-result.js'
import { shareOf } from '../grids/transfer-grid.js'
import { grouped } from '../summary.js'

/** What the seeds of one layer gave in one setting. */
export interface TransferPoint {
  /** What stands before the layer: `pretrained`, `from scratch`. */
  readonly body: string
  /** Percent of the image that the object fills. */
  readonly share: number
  /** Training images. */
  readonly samples: number
  /** Side of the map. */
  readonly map: number
  /** The layer that computes the map, its channels, and the pixels that a cell of it sees along one side. */
  readonly after: string
  readonly channels: number
  readonly field?: number
  /** Side of the images in pixels. */
  readonly imageSide: number
  /** Of a mixture: the percentage of the patches that an expert keeps; absent for the dense layer. */
  readonly kept?: number
  readonly patches?: number
  readonly accuracy: SeedSummary
  readonly trainAccuracy: SeedSummary
  readonly seconds: SeedSummary
  /** Of one forward pass over one image: the whole network, and what stands on the map. */
  readonly multiplyAdds: number
  readonly layerMultiplyAdds: number
  /** Minus that of the dense layer, seed by seed; absent for the dense layer. */
  readonly difference?: PairedDifference
  /** Seconds of training divided by those of the dense layer, which was trained just before. */
  readonly timeRatio?: SeedSummary
}

/** Everything that a study of transfer found, as numbers. */
export interface TransferSummary {
  readonly done: number
  readonly failed: number
  /** The pretrained network, where one was named. */
  readonly network?: string
  readonly points: readonly TransferPoint[]
}

type Layer = Transferred['layers'][number]

interface Run extends Layer {
  readonly body: string
  readonly share: number
  readonly samples: number
  readonly seed: number
  readonly imageSide: number
}

/** Computes what a study of transfer found so far. */
export function summarizeTransfer(results: ReadonlyMap<number, CellResult>): TransferSummary {
  const all = [...results.values()]
  const done = all.filter(result => result.status === 'done')
  const runs = done.flatMap(({ cell, transferred }): Run[] => {
    const { variant: body, samples = 0, seed } = cell
    const { imageSide = 0, layers = [] } = transferred ?? {}
    return layers.map(layer => ({ ...layer, body, share: shareOf(cell), samples, seed, imageSide }))
  })
  const network = done.find(({ transferred }) => transferred?.network !== undefined)?.transferred?.network
  const bodies = [...new Set(runs.map(({ body }) => body))]
  const points = grouped(runs, run => `${settingKey(run)}|${run.kept}`)
    .map(group => pointOf(group, runs))
    .sort(
      (a, b) =>
        bodies.indexOf(a.body) - bodies.indexOf(b.body) ||
        a.samples - b.samples ||
        a.share - b.share ||
        a.map - b.map ||
        (a.kept ?? 0) - (b.kept ?? 0),
    )
  return {
    done: done.length,
    failed: all.length - done.length,
    ...(network !== undefined && { network }),
    points,
  }
}

/** The same for the dense layer and the mixtures that are compared with it. */
export function settingKey({
  body,
  share,
  samples,
  map,
}: Pick<TransferPoint, 'body' | 'share' | 'samples' | 'map'>): string {
  return [body, share, samples, map].join('|')
}

function pointOf(group: readonly Run[], runs: readonly Run[]): TransferPoint {
  const [first] = group as readonly [Run]
  const { body, share, samples, map, after, channels, field, imageSide, kept, patches } = first
  const dense = runs.filter(run => run.kept === undefined && settingKey(run) === settingKey(first))
  const trials = (of: readonly Run[]): Trial[] =>
    of.map(({ seed, testAccuracy }) => ({ samples, seed, accuracy: testAccuracy }))
  const difference = kept === undefined ? undefined : pairedDifferences(trials(group), trials(dense))[0]
  const ratios = group.flatMap(({ seed, seconds }) => {
    const base = dense.find(run => run.seed === seed)
    return base ? [seconds / base.seconds] : []
  })
  return {
    body,
    share,
    samples,
    map,
    after,
    channels,
    ...(field !== undefined && { field }),
    imageSide,
    ...(kept !== undefined && { kept }),
    ...(patches !== undefined && { patches }),
    accuracy: summarizeSeeds(group.map(({ testAccuracy }) => testAccuracy)),
    trainAccuracy: summarizeSeeds(group.map(({ trainAccuracy }) => trainAccuracy)),
    seconds: summarizeSeeds(group.map(({ seconds }) => seconds)),
    multiplyAdds: first.multiplyAdds,
    layerMultiplyAdds: first.layerMultiplyAdds,
    ...(difference && { difference }),
    ...(kept !== undefined && ratios.length > 0 && { timeRatio: summarizeSeeds(ratios) }),
  }
}
