import {
  type BootstrapOptions,
  bootstrapInterval,
  bootstrapResults,
  checkLevel,
  type Interval,
  percentileInterval,
} from './bootstrap.js'
import { mean } from './descriptive.js'
import { checkTrials, type Trial } from './trial.js'

/** How many training images reach an accuracy. */
export interface SamplesNeeded {
  /** The accuracy asked for, in (0, 1]. */
  readonly target: number
  /**
   * The number of images at which the mean accuracy reaches the target, interpolated; the fewest images tried where
   * these already reach it (an upper bound); Infinity where the most images tried do not reach it.
   */
  readonly samples: number
  /** Which of these three cases holds. */
  readonly reached: 'within' | 'at the fewest' | 'never'
  /** Interval of `samples`, by the percentile bootstrap over seeds; `upper` may be Infinity. Absent for one seed. */
  readonly interval?: Interval
}

/** How many times as many training images one model needs as another. */
export interface SamplesRatio {
  /** Samples of the model over those of the baseline; NaN where neither reaches the target. */
  readonly ratio: number
  /** Interval of the ratio, by the percentile bootstrap over the seeds that both have; absent for fewer than two. */
  readonly interval?: Interval
  /** Share of the draws in which neither model reaches the target; the interval leaves these out. */
  readonly undetermined: number
  readonly model: SamplesNeeded
  readonly baseline: SamplesNeeded
}

/** A mean learning curve: the accuracy at each number of images. */
interface CurvePoint {
  readonly samples: number
  readonly accuracy: number
  /** Trials behind the accuracy. */
  readonly weight: number
}

/**
 * How many training images a model needs for an accuracy: the mean accuracy over the seeds at each number of images,
 * made non-decreasing by pooling adjacent violators (Ayer et al. 1955; each weighs its number of trials), with straight
 * lines in between. The result is the first number of images at which this curve reaches the target. The interval draws
 * whole seeds, each with all its trials.
 *
 * @param target accuracy in (0, 1]
 * @throws RangeError when the target is out of range or the trials are malformed, see `checkTrials`
 */
export function samplesNeeded(
  trials: readonly Trial[],
  target: number,
  options: BootstrapOptions = {},
): SamplesNeeded {
  checkTarget('samplesNeeded', target)
  checkTrials('samplesNeeded', trials)
  const samples = crossing(meanCurve(trials), target)
  const estimate = {
    target,
    samples,
    reached: samples === Infinity ? 'never' : startsAbove(trials, target) ? 'at the fewest' : 'within',
  } as const
  const bySeed = trialsBySeed(trials)
  if (bySeed.size < 2) return estimate
  const seeds = [...bySeed.values()]
  const interval = bootstrapInterval(
    seeds.length,
    drawn => crossing(meanCurve(drawTrials(seeds, drawn)), target),
    options,
  )
  return interval ? { ...estimate, interval } : estimate
}

/**
 * How many times as many training images a model needs as a baseline to reach an accuracy, both as in
 * {@link samplesNeeded}. The interval draws the seeds that both have, the same ones for both.
 *
 * Where one of them reaches the target at the fewest images tried, the ratio is only a bound.
 *
 * @throws RangeError as `samplesNeeded`
 */
export function samplesRatio(
  trials: readonly Trial[],
  baseline: readonly Trial[],
  target: number,
  options: BootstrapOptions = {},
): SamplesRatio {
  const model = samplesNeeded(trials, target, options)
  const baselineNeeds = samplesNeeded(baseline, target, options)
  const ratio = model.samples / baselineNeeds.samples
  const [bySeed, baselineBySeed] = [trialsBySeed(trials), trialsBySeed(baseline)]
  const shared = [...bySeed.keys()].filter(seed => baselineBySeed.has(seed))
  const estimate = { ratio, model, baseline: baselineNeeds }
  if (shared.length < 2) return { ...estimate, undetermined: Number.isNaN(ratio) ? 1 : 0 }
  const seeds = shared.map(seed => bySeed.get(seed)!)
  const baselineSeeds = shared.map(seed => baselineBySeed.get(seed)!)
  const drawnRatio = (drawn: Int32Array) =>
    crossing(meanCurve(drawTrials(seeds, drawn)), target) /
    crossing(meanCurve(drawTrials(baselineSeeds, drawn)), target)
  const results = bootstrapResults(shared.length, drawnRatio, options)
  const undetermined = results.filter(value => Number.isNaN(value)).length / results.length
  const interval = percentileInterval(results, checkLevel(options))
  return { ...estimate, undetermined, ...(interval && { interval }) }
}

/** The first number of samples at which a non-decreasing curve reaches the target; Infinity where it never does. */
function crossing(curve: readonly CurvePoint[], target: number): number {
  const accuracies = nonDecreasing(curve)
  const index = accuracies.findIndex(accuracy => accuracy >= target)
  if (index < 0) return Infinity
  const after = curve[index]!
  const before = curve[index - 1]
  if (!before) return after.samples
  const [low, high] = [accuracies[index - 1]!, accuracies[index]!]
  return before.samples + ((target - low) / (high - low)) * (after.samples - before.samples)
}

function startsAbove(trials: readonly Trial[], target: number): boolean {
  return nonDecreasing(meanCurve(trials))[0]! >= target
}

function meanCurve(trials: readonly Trial[]): CurvePoint[] {
  const groups = new Map<number, number[]>()
  for (const { samples, accuracy } of trials) {
    const group = groups.get(samples)
    if (group) group.push(accuracy)
    else groups.set(samples, [accuracy])
  }
  return [...groups]
    .map(([samples, values]) => ({ samples, accuracy: mean(values), weight: values.length }))
    .sort((a, b) => a.samples - b.samples)
}

/** The closest non-decreasing numbers in the sense of weighted squares: neighbours that fall are averaged. */
function nonDecreasing(curve: readonly CurvePoint[]): number[] {
  const pools: { value: number; weight: number; points: number }[] = []
  for (const { accuracy, weight } of curve) {
    let pool = { value: accuracy, weight, points: 1 }
    for (let last = pools.at(-1); last && last.value > pool.value; last = pools.at(-1)) {
      pools.pop()
      const total = last.weight + pool.weight
      pool = {
        value: (last.value * last.weight + pool.value * pool.weight) / total,
        weight: total,
        points: last.points + pool.points,
      }
    }
    pools.push(pool)
  }
  return pools.flatMap(({ value, points }) => new Array<number>(points).fill(value))
}

function trialsBySeed(trials: readonly Trial[]): Map<number, Trial[]> {
  const bySeed = new Map<number, Trial[]>()
  for (const trial of trials) {
    const ofSeed = bySeed.get(trial.seed)
    if (ofSeed) ofSeed.push(trial)
    else bySeed.set(trial.seed, [trial])
  }
  return bySeed
}

function drawTrials(seeds: readonly (readonly Trial[])[], drawn: Int32Array): Trial[] {
  return Array.from(drawn, index => seeds[index]!).flat()
}

function checkTarget(where: string, target: number): void {
  if (target > 0 && target <= 1) return
  throw new RangeError(`${where}: target must be in (0, 1], got ${target}`)
}
