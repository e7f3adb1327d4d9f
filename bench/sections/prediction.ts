import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { countText, ratiosText, ratioText, secondsText } from '../../scripts/run/measuring/number-text.js'
import { sit } from '../../scripts/run/measuring/sitting.js'
import { median, pairRatios, summarize } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { PredictionJob } from '../jobs.js'
import { ownCommand } from '../own-command.js'
import { type BenchContext, roundsOf } from '../section.js'
import { fullSettings, quickSettings, type TrainingSetting } from './training-numbers.js'

/** Measures prediction of both networks, one image and many at a time: workload (d). */
export async function measurePredictions(context: BenchContext): Promise<SectionResult> {
  const rows: string[][] = []
  const failures: string[] = []
  const reports: Record<string, readonly ChildReport[]> = {}
  const batches = context.quick ? [1, 2] : [1, 64]
  for (const setting of context.quick ? quickSettings : fullSettings) {
    const { name: _, hasTargets: __, batch: ___, ...size } = setting
    const rounds = roundsOf(context, { warmUp: 2, rounds: 11 })
    const who = `prediction ${imagesText(setting)}`
    const job: PredictionJob = {
      workload: 'prediction',
      backend: context.backend,
      batches,
      ...rounds,
      ...size,
    }
    const sitting = await sit('(d)', [ownCommand(who, job)], 1, context)
    failures.push(...sitting.failures)
    const report = sitting.reports.get(who)?.[0]
    if (!report) continue
    reports[who] = [report]
    rows.push(...batches.map(batch => predictionRow(setting, batch, report)))
  }
  return { tables: rows.length > 0 ? [predictionTable(rows)] : [], measured: {}, reports, failures }
}

/** A line of the table: one size of image, one batch size. */
export function predictionRow(setting: TrainingSetting, batch: number, report: ChildReport): string[] {
  const [wrn, pmoe] = [secondsOf(report, `wrn ${batch}`), secondsOf(report, `wrn-pmoe ${batch}`)]
  return [
    imagesText(setting),
    `${batch}`,
    secondsText(median(wrn)),
    secondsText(median(pmoe)),
    ratiosText(summarize(pairRatios(pmoe, wrn))),
    ratioText(factOf(report, 'wrn-pmoe') / factOf(report, 'wrn')),
    countText(batch / median(pmoe)),
  ]
}

function predictionTable(rows: readonly (readonly string[])[]): Table {
  return {
    letter: 'd',
    title: 'Prediction, float32',
    sentence: 'Compares `predict` of the sparse mixture with that of the dense network, and with its work.',
    head: ['images', 'batch', 'wrn', 'wrn-pmoe', 'wrn-pmoe / wrn', 'work', 'wrn-pmoe, images/s'],
    rows,
  }
}

function imagesText({ size }: TrainingSetting): string {
  return `${size}x${size}`
}
