import type { ChildReport } from '../scripts/run/measuring/child-report.js'
import { sit } from '../scripts/run/measuring/sitting.js'
import type { Letter, SectionResult, Table } from './bench-result.js'
import type { Job } from './jobs.js'
import { ownCommand } from './own-command.js'
import type { BenchContext } from './section.js'
import type { MeasuredTargets } from './targets.js'

/** What a workload makes of the report of its process. */
interface Findings {
  readonly table: (report: ChildReport) => Table
  readonly targets?: (report: ChildReport) => MeasuredTargets
}

/** Measures a workload that is one process: its table and targets, none where it failed. */
export async function measureInOneProcess(
  letter: Letter,
  who: string,
  job: Job,
  context: BenchContext,
  { table, targets }: Findings,
): Promise<SectionResult> {
  const { reports, failures } = await sit(`(${letter})`, [ownCommand(who, job)], 1, context)
  const report = reports.get(who)?.[0]
  return {
    tables: report ? [table(report)] : [],
    measured: report && targets ? targets(report) : {},
    reports: Object.fromEntries(reports),
    failures,
  }
}
