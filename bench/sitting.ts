import type { ChildCommand } from './child-process.js'
import type { ChildReport } from './child-report.js'
import type { BenchContext } from './section.js'
import { pairRatios, type Summary, summarize } from './statistics.js'

/** Reports of processes that ran in turn. */
export class Sitting {
  /** By the name of the process, as many as there were rounds. */
  readonly reports: ReadonlyMap<string, readonly ChildReport[]>
  /** Why processes are missing. */
  readonly failures: readonly string[]

  constructor(reports: ReadonlyMap<string, readonly ChildReport[]>, failures: readonly string[] = []) {
    this.reports = reports
    this.failures = failures
  }

  /** One number of each round, or undefined for a process that was not measured. */
  numbers(who: string, number: (report: ChildReport) => number): number[] | undefined {
    return this.reports.get(who)?.map(number)
  }

  /** The ratios of two processes, round by round, or undefined where one of them was not measured. */
  ratio(
    numerator: string,
    denominator: string,
    number: (report: ChildReport) => number,
  ): Summary | undefined {
    const [above, below] = [this.numbers(numerator, number), this.numbers(denominator, number)]
    return above && below ? summarize(pairRatios(above, below)) : undefined
  }
}

/**
 * Runs processes in turn, there and back, A B C, C B A, so that what changes slowly changes both sides of a ratio
 * alike. A process that fails is left out from then on, and its reports so far with it; the failure is reported.
 */
export async function sit(
  title: string,
  commands: readonly ChildCommand[],
  rounds: number,
  { run, log }: Pick<BenchContext, 'run' | 'log'>,
): Promise<Sitting> {
  const reports = new Map<string, ChildReport[]>(commands.map(({ who }) => [who, []]))
  const failures: string[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const command of round % 2 === 1 ? commands : commands.toReversed()) {
      const ownReports = reports.get(command.who)
      if (!ownReports) continue
      log(`${title}, round ${round} of ${rounds}: ${command.who}`)
      try {
        ownReports.push(await run(command))
      } catch (error) {
        reports.delete(command.who)
        failures.push(`${title}: ${(error as Error).message}`)
      }
    }
  }
  return new Sitting(reports, failures)
}
