import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { countText, ratiosText, secondsText, shareText } from '../../scripts/run/measuring/number-text.js'
import { median, pairRatios, summarize } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { AugmentationJob } from '../jobs.js'
import { measureInOneProcess } from '../one-process.js'
import { type BenchContext, roundsOf } from '../section.js'
import { asMeasured, type MeasuredTargets } from '../targets.js'
import { fullSettings, quickSettings } from './training-numbers.js'

const who = 'epoch with augmentation'
const names = ['light', 'strong', 'light between steps']

/** Measures how long training waits for images that are varied: workload (t). */
export async function measureAugmentations(context: BenchContext): Promise<SectionResult> {
  const { name: _, hasTargets: __, ...size } = (context.quick ? quickSettings : fullSettings).at(-1)!
  const job: AugmentationJob = {
    workload: 'augmentation',
    backend: context.backend,
    ...roundsOf(context, { warmUp: 1, rounds: 10 }),
    ...size,
    ...(!context.quick && { widen: 2, batch: 128 }),
    images: context.quick ? 12 : 1280,
  }
  return measureInOneProcess('t', who, job, context, {
    table: report => augmentationTable(job, report),
    targets: augmentationTargets,
  })
}

/** The table: what an epoch takes by how its images are varied, and what share of it the loop waited for them. */
export function augmentationTable(
  { size, batch, widen, images }: Pick<AugmentationJob, 'size' | 'batch' | 'widen' | 'images'>,
  report: ChildReport,
): Table {
  const none = secondsOf(report, 'none')
  const row = (name: string) => {
    const epoch = secondsOf(report, name)
    const waiting = secondsOf(report, `${name} waiting`)
    return [
      name,
      secondsText(median(epoch)),
      name === 'none' ? '1' : ratiosText(summarize(pairRatios(epoch, none))),
      secondsText(median(waiting) / factOf(report, 'batches')),
      shareText(median(pairRatios(waiting, epoch))),
    ]
  }
  return {
    letter: 't',
    title: 'An epoch with augmentation',
    sentence:
      `Compares an epoch of WRN-10-${widen} over ${countText(images)} images of ${size}x${size} in memory, batch ${batch}, as they ` +
      'are and varied: in a worker thread ahead of their use, and between steps.',
    head: ['augmentation', 'epoch', 'to none', 'wait for a batch', 'waiting, of the epoch'],
    rows: ['none', ...names].map(row),
  }
}

/** What was measured for the target of augmentation. */
export function augmentationTargets(report: ChildReport): MeasuredTargets {
  const ratios = pairRatios(secondsOf(report, 'light'), secondsOf(report, 'none'))
  return { 'augment light': asMeasured(summarize(ratios)) }
}
