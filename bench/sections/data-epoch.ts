import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { countText, ratiosText, secondsText, shareText } from '../../scripts/run/measuring/number-text.js'
import { median, pairRatios, summarize } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { EpochJob } from '../jobs.js'
import { measureInOneProcess } from '../one-process.js'
import { type BenchContext, roundsOf } from '../section.js'
import { asMeasured, type MeasuredTargets } from '../targets.js'
import { fullSettings, quickSettings } from './training-numbers.js'

const who = 'epoch over prepared images'
const fixedBatch = 'a fixed batch'
const ahead = 'streamed ahead'

/** Measures how long training waits for prepared images: workload (k). */
export async function measureEpochs(context: BenchContext): Promise<SectionResult> {
  const { name: _, hasTargets: __, ...size } = (context.quick ? quickSettings : fullSettings).at(-1)!
  const job: EpochJob = {
    workload: 'epoch',
    backend: context.backend,
    ...roundsOf(context, { warmUp: 1, rounds: 20 }),
    ...size,
    widen: context.quick ? 1 : 2,
    // Short epochs, many times: what disturbs a machine for seconds is to disturb single rounds.
    images: context.quick ? 12 : 1024,
    shuffleWindow: context.quick ? 8 : 256,
  }
  return measureInOneProcess('k', who, job, context, {
    table: report => epochTable(job, report),
    targets: epochTargets,
  })
}

/** The table: what an epoch takes by where its images are, and what share of it the loop waited for them. */
export function epochTable(
  { size, batch, widen, images }: Pick<EpochJob, 'size' | 'batch' | 'widen' | 'images'>,
  report: ChildReport,
): Table {
  const fixed = secondsOf(report, fixedBatch)
  const row = (name: string) => {
    const epoch = secondsOf(report, name)
    const waiting = secondsOf(report, `${name} waiting`)
    return [
      name,
      secondsText(median(epoch)),
      ratiosText(summarize(pairRatios(epoch, fixed))),
      secondsText(median(secondsOf(report, `${name} first`))),
      secondsText(median(waiting) / factOf(report, 'batches')),
      shareText(median(pairRatios(waiting, epoch))),
    ]
  }
  return {
    letter: 'k',
    title: 'An epoch over prepared images',
    sentence:
      `Compares an epoch of WRN-10-${widen} over ${countText(images)} images of ${size}x${size}, batch ${batch}, flipped, ` +
      'padded and cropped (from memory, from disk, and from disk ahead of use by a worker thread) with as many steps on a fixed batch.',
    head: ['images', 'epoch', 'to a fixed batch', 'first batch', 'wait for another', 'waiting, of the epoch'],
    rows: [
      [fixedBatch, secondsText(median(fixed)), '1', '', '', ''],
      ...['in memory', 'streamed', ahead].map(row),
    ],
  }
}

/** What was measured for the target of reading ahead. */
export function epochTargets(report: ChildReport): MeasuredTargets {
  const ratios = pairRatios(secondsOf(report, ahead), secondsOf(report, fixedBatch))
  return { 'epoch ahead': asMeasured(summarize(ratios)) }
}
