import type { ChildCommand, RunChild } from './child-process.js'
import type { ChildReport } from './child-report.js'
import { pairRatios, type Summary, summarize } from './statistics.js'

/** Reports of processes that ran in turn. */
export class Sitting {
  /** By the name of the process, as many as there were rounds. */
  readonly reports: ReadonlyMap<string, readonly ChildReport[]>
  /** Why processes are missing, by their names. */
  readonly reasons: ReadonlyMap<string, string>
  private readonly title: string

  constructor(
    reports: ReadonlyMap<string, readonly ChildReport[]>,
    reasons: ReadonlyMap<string, string> = new Map(),
    title = '',
  ) {
    this.reports = reports
    this.reasons = reasons
    this.title = title
  }

  /** Why processes are missing, a sentence each. */
  get failures(): string[] {
    return [...this.reasons.values()].map(reason => `${this.title}: ${reason}`)
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

/** How processes are run in turn. */
export interface Turns {
  readonly run: RunChild
  /** Is told of progress, one line at a time. */
  readonly log: (line: string) => void
  /** Ends the turns, with its reason as the error. */
  readonly signal?: AbortSignal
}

/**
 * Runs processes in turn, there and back, A B C, C B A, so that what changes slowly changes both sides of a ratio
 * alike. A process that fails is left out from then on, and its reports so far with it; the failure is reported.
 */
export async function sit(
  title: string,
  commands: readonly ChildCommand[],
  rounds: number,
  { run, log, signal }: Turns,
): Promise<Sitting> {
  const reports = new Map<string, ChildReport[]>(commands.map(({ who }) => [who, []]))
  const reasons = new Map<string, string>()
  for (let round = 1; round <= rounds; round++) {
    for (const command of round % 2 === 1 ? commands : commands.toReversed()) {
      const ownReports = reports.get(command.who)
      if (!ownReports) continue
      signal?.throwIfAborted()
      log(`${title}, round ${round} of ${rounds}: ${command.who}`)
      try {
        ownReports.push(await run(command))
      } catch (error) {
        signal?.throwIfAborted()
        reports.delete(command.who)
        reasons.set(command.who, (error as Error).message)
      }
    }
  }
  return new Sitting(reports, reasons, title)
}
