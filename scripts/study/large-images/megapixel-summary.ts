import { type PairedDifference, pairedDifferences } from '../../../src/statistics/paired-difference.js'
import { type SeedSummary, summarizeSeeds } from '../../../src/statistics/summary.js'
import type { Trial } from '../../../src/statistics/trial.js'
import type { MegapixelExperiment } from '../../experiments/experiment.js'
import type { CellResult, LargeImageTimes, OnLargeImages } from '../cell-result.js'
import type { MegapixelGrid } from '../grids/large-images-grid.js'
import type { PeerResult } from '../peer-result.js'
import { grouped } from '../summary.js'

/** What the seeds of one network gave on one number of images of one task. */
export interface LargeImagesPoint {
  readonly setting: string
  readonly variant: string
  readonly samples: number
  /** The program that computed it, where it was another one. */
  readonly program?: string
  /** Test accuracy; a share. */
  readonly accuracy: SeedSummary
  /** The same of each seed, ascending by seed. */
  readonly accuracies: readonly number[]
  readonly trainAccuracy: SeedSummary
  /** Of the test images; absent for networks that keep no patches. */
  readonly recall?: SeedSummary
  /** Mean over the seeds of the recall on the training images, by epoch. */
  readonly recalls?: readonly number[]
  readonly seconds: SeedSummary
  readonly steps: number
  readonly parameters: number
  /** Of one forward pass over one image. */
  readonly multiplyAdds: number
  /** Minus that of the baseline, seed by seed; absent for the baseline itself. */
  readonly difference?: PairedDifference
}

/** What a training step of a network takes on images of one size. */
export interface LargeImagesTime {
  /** Of the images, in pixels. */
  readonly side: number
  readonly variant: string
  readonly multiplyAdds: number
  /** An image; the mean over the seeds. */
  readonly milliseconds: SeedSummary
  /** Over those of the baseline, which were measured in turn. */
  readonly ratio?: SeedSummary
}

/** Everything that a study of large images found, as numbers. */
export interface MegapixelSummary {
  readonly done: number
  readonly failed: number
  readonly points: readonly LargeImagesPoint[]
  readonly times: readonly LargeImagesTime[]
}

/** A network that was trained, by the study or by another program. */
interface Run extends Omit<OnLargeImages, 'blank'> {
  readonly setting: string
  readonly variant: string
  readonly samples: number
  readonly seed: number
  readonly program?: string
}

/** Computes what a study of large images found so far. */
export function summarizeMegapixel(
  { baseline }: Pick<MegapixelExperiment, 'baseline'>,
  { tasks, variants }: Pick<MegapixelGrid, 'tasks' | 'variants'>,
  results: ReadonlyMap<number, CellResult>,
  peers: readonly PeerResult[],
): MegapixelSummary {
  const all = [...results.values()]
  const done = all.filter(result => result.status === 'done')
  const own = done.flatMap(({ cell, onLargeImages }): Run[] => {
    const { setting = '', variant, samples = 0, seed } = cell
    return onLargeImages ? [{ ...onLargeImages, setting, variant, samples, seed }] : []
  })
  const names = tasks.map(({ name }) => name)
  const runs = [...own, ...peers.filter(({ setting }) => names.includes(setting))]
  const known = [...variants.map(({ name }) => name), ...peers.map(({ variant }) => variant)]
  const points = grouped(runs, ({ setting, variant, samples }) => [setting, variant, samples].join('|'))
    .map(group => pointOf(group, runs, baseline))
    .sort(
      (a, b) =>
        names.indexOf(a.setting) - names.indexOf(b.setting) ||
        a.samples - b.samples ||
        known.indexOf(a.variant) - known.indexOf(b.variant),
    )
  const times = done.flatMap(({ cell, largeImageTimes }) =>
    largeImageTimes ? [{ side: Number.parseInt(cell.setting ?? '', 10), times: largeImageTimes }] : [],
  )
  return { done: done.length, failed: all.length - done.length, points, times: timesOf(times, baseline) }
}

function pointOf(group: readonly Run[], runs: readonly Run[], baseline: string): LargeImagesPoint {
  const bySeed = [...group].sort((a, b) => a.seed - b.seed)
  const [{ setting, variant, samples, program, steps, parameters, multiplyAdds }] = bySeed as [Run]
  const trials = (of: readonly Run[]): Trial[] =>
    of.map(({ seed, testAccuracy }) => ({ samples, seed, accuracy: testAccuracy }))
  const others = runs.filter(
    run => run.variant === baseline && run.setting === setting && run.samples === samples,
  )
  const isCompared = variant !== baseline && others.length > 0
  const difference = isCompared ? pairedDifferences(trials(group), trials(others))[0] : undefined
  const recalls = group.flatMap(({ recall }) => recall ?? [])
  const curves = group.flatMap(run => (run.recalls ? [run.recalls] : []))
  const accuracies = bySeed.map(({ testAccuracy }) => testAccuracy)
  return {
    setting,
    variant,
    samples,
    ...(program !== undefined && { program }),
    accuracy: summarizeSeeds(accuracies),
    accuracies,
    trainAccuracy: summarizeSeeds(group.map(({ trainAccuracy }) => trainAccuracy)),
    ...(recalls.length > 0 && { recall: summarizeSeeds(recalls) }),
    ...(curves.length > 0 && { recalls: meanCurve(curves) }),
    seconds: summarizeSeeds(group.map(({ seconds }) => seconds)),
    steps,
    parameters,
    multiplyAdds,
    ...(difference && { difference }),
  }
}

function meanCurve(curves: readonly (readonly number[])[]): number[] {
  const [first = []] = curves
  return first.map((_, epoch) => curves.reduce((sum, curve) => sum + (curve[epoch] ?? 0), 0) / curves.length)
}

function timesOf(
  measured: readonly { readonly side: number; readonly times: LargeImageTimes }[],
  baseline: string,
): LargeImagesTime[] {
  const rows = measured.flatMap(({ side, times }) => {
    const base = times.find(({ variant }) => variant === baseline)?.milliseconds
    return times.map(time => ({
      ...time,
      side,
      ...(base !== undefined && { ratio: time.milliseconds / base }),
    }))
  })
  return grouped(rows, ({ side, variant }) => `${side}|${variant}`)
    .map(group => {
      const [{ side, variant, multiplyAdds }] = group as [(typeof group)[number]]
      const ratios = group.flatMap(({ ratio }) => ratio ?? [])
      return {
        side,
        variant,
        multiplyAdds,
        milliseconds: summarizeSeeds(group.map(({ milliseconds }) => milliseconds)),
        ...(ratios.length > 0 && { ratio: summarizeSeeds(ratios) }),
      }
    })
    .sort((a, b) => a.side - b.side)
}
