import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { megabytesText, ratiosText, ratioText, secondsText } from '../../scripts/run/measuring/number-text.js'
import { sit } from '../../scripts/run/measuring/sitting.js'
import { median, pairRatios, summarize } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { PruningJob } from '../jobs.js'
import { ownCommand } from '../own-command.js'
import { type BenchContext, roundsOf } from '../section.js'
import type { MeasuredTargets } from '../targets.js'
import type { TrainingSetting } from './training-numbers.js'

/** A mixture whose experts do much of the network's work, so that their time shows. */
const fullSettings: readonly PruningSetting[] = [
  { size: 64, classes: 4, widen: 10, experts: 8, keep: 8, patch: 4, kernel: 3, expertsKept: 4 },
  { size: 32, classes: 10, widen: 4, experts: 8, keep: 32, patch: 1, kernel: 1, expertsKept: 4 },
]
const quickSettings: readonly PruningSetting[] = [
  { size: 16, classes: 4, widen: 1, experts: 4, keep: 2, patch: 2, kernel: 3, expertsKept: 2 },
]

/** The mixture that is pruned, and the experts that stay. */
export interface PruningSetting extends Omit<TrainingSetting, 'name' | 'hasTargets' | 'batch'> {
  readonly expertsKept: number
}

/** Measures prediction of a mixture before and after half of its experts went: workload (p). */
export async function measurePrunings(context: BenchContext): Promise<SectionResult> {
  const rows: string[][] = []
  const failures: string[] = []
  const reports: Record<string, readonly ChildReport[]> = {}
  let measured: MeasuredTargets = {}
  const batches = context.quick ? [1, 2] : [1, 64]
  for (const setting of context.quick ? quickSettings : fullSettings) {
    const who = `pruning ${sizeText(setting)}`
    const rounds = roundsOf(context, { warmUp: 2, rounds: 11 })
    const job: PruningJob = {
      workload: 'pruning',
      backend: context.backend,
      batches,
      ...rounds,
      ...setting,
    }
    const sitting = await sit('(p)', [ownCommand(who, job)], 1, context)
    failures.push(...sitting.failures)
    const report = sitting.reports.get(who)?.[0]
    if (!report) continue
    reports[who] = [report]
    rows.push(...batches.map(batch => pruningRow(setting, batch, report)))
    if (setting === fullSettings[0]) measured = pruningTargets(report)
  }
  return { tables: rows.length > 0 ? [pruningTable(rows)] : [], measured, reports, failures }
}

/** A line of the table: one network, one batch size. */
export function pruningRow(setting: PruningSetting, batch: number, report: ChildReport): string[] {
  const [whole, pruned] = [secondsOf(report, `whole ${batch}`), secondsOf(report, `pruned ${batch}`)]
  return [
    `${sizeText(setting)}, ${setting.experts} to ${setting.expertsKept} experts`,
    `${batch}`,
    secondsText(median(whole)),
    secondsText(median(pruned)),
    ratiosText(summarize(pairRatios(pruned, whole))),
    ratioText(shareOf(report, 'FLOP')),
    megabytesText(factOf(report, 'whole bytes')),
    megabytesText(factOf(report, 'pruned bytes')),
  ]
}

/** What is left of the time, by what is left of the multiply-adds, with 64 images at a time. */
export function pruningTargets(report: ChildReport): MeasuredTargets {
  const { median, lowerQuartile, upperQuartile } = summarize(
    pairRatios(secondsOf(report, 'pruned 64'), secondsOf(report, 'whole 64')),
  )
  const work = shareOf(report, 'FLOP')
  return {
    'pruned time/work': {
      value: median / work,
      quartiles: [lowerQuartile / work, upperQuartile / work],
    },
  }
}

function pruningTable(rows: readonly (readonly string[])[]): Table {
  return {
    letter: 'p',
    title: 'Prediction of a pruned mixture, float32',
    sentence:
      'Compares `predict` of WRN-pMoE before and after `pruneExperts` removed half of its experts, with its work and its size on the disk.',
    head: ['images', 'batch', 'before', 'after', 'after / before', 'work', 'size before', 'size after'],
    rows,
  }
}

function shareOf(report: ChildReport, fact: string): number {
  return factOf(report, `pruned ${fact}`) / factOf(report, `whole ${fact}`)
}

function sizeText({ size }: PruningSetting): string {
  return `${size}x${size}`
}
