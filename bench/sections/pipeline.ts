import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { countText, ratiosText, secondsText, shareText } from '../../scripts/run/measuring/number-text.js'
import { median, pairRatios, summarize } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { PipelineJob } from '../jobs.js'
import { measureInOneProcess } from '../one-process.js'
import { type BenchContext, roundsOf } from '../section.js'
import { asMeasured, type MeasuredTargets } from '../targets.js'
import { fullSettings, quickSettings } from './training-numbers.js'

type Amounts = Pick<PipelineJob, 'composed' | 'images' | 'batchesTimed'>

const full: Amounts = { composed: 10_000, images: 50_000, batchesTimed: 50 }
const quick: Amounts = { composed: 100, images: 200, batchesTimed: 5 }
const who = 'input pipeline'

/** Measures how fast images are composed, shuffled and uploaded, beside a training step: workload (f). */
export async function measurePipelines(context: BenchContext): Promise<SectionResult> {
  const { name: _, hasTargets: __, ...size } = (context.quick ? quickSettings : fullSettings).at(-1)!
  const job: PipelineJob = {
    workload: 'pipeline',
    backend: context.backend,
    ...roundsOf(context, { warmUp: 2, rounds: 11 }),
    ...size,
    ...(context.quick ? quick : full),
  }
  return measureInOneProcess('f', who, job, context, {
    table: report => pipelineTable(job, report),
    targets: pipelineTargets,
  })
}

/** The table: what each part of the pipeline takes, and what share of a training step that is. */
export function pipelineTable(
  { size, batch, images, composed }: Pick<PipelineJob, 'size' | 'batch' | 'images' | 'composed'>,
  report: ChildReport,
): Table {
  const step = secondsOf(report, 'step on a fixed batch')
  const fresh = secondsOf(report, 'step on fresh batches')
  const perBatch = (name: string) =>
    secondsOf(report, name).map(seconds => seconds / factOf(report, 'batches'))
  const row = (what: string, seconds: readonly number[], imagesTimed: number, share?: string) => [
    what,
    secondsText(median(seconds)),
    countText(imagesTimed / median(seconds)),
    share ?? shareText(median(pairRatios(seconds, step))),
  ]
  return {
    letter: 'f',
    title: 'Input pipeline',
    sentence: `Compares the time to make a batch with that of a WRN-pMoE training step on ${size}x${size} images, batch ${batch}.`,
    head: ['what', 'time', 'images/s', 'of a step'],
    rows: [
      row(
        `load and compose ${countText(composed)} fashion-quadrants`,
        secondsOf(report, 'compose'),
        composed,
        '',
      ),
      row(`a shuffled batch of ${countText(images)} images`, perBatch('batches'), batch),
      row('the same, uploaded and scaled', perBatch('uploaded batches'), batch),
      row('a training step on a fixed batch', step, batch),
      row('a training step on fresh batches', fresh, batch),
    ],
    notes: [
      `step on fresh batches / step on a fixed batch: ${ratiosText(summarize(pairRatios(fresh, step)))}`,
    ],
  }
}

/** What was measured for the target of a step with data. */
export function pipelineTargets(report: ChildReport): MeasuredTargets {
  const fresh = secondsOf(report, 'step on fresh batches')
  return {
    'step fresh': asMeasured(summarize(pairRatios(fresh, secondsOf(report, 'step on a fixed batch')))),
  }
}
