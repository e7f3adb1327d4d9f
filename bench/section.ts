import type { RunChild } from '../scripts/run/measuring/child-process.js'
import type { BackendName } from '../src/backend/choose.js'
import type { Rounds } from './alternate.js'
import type { Letter } from './bench-result.js'

/** What every section is handed. */
export interface BenchContext {
  /** What the user asked for. */
  readonly backend: BackendName | 'auto'
  /** Whether tiny sizes and few rounds are to show that everything runs. */
  readonly quick: boolean
  /** Rounds of processes that take turns, where the user set them. */
  readonly repeats?: number
  /** The interpreter of the peers' environment, where peers are to be measured. */
  readonly python?: string
  /** The folder of the peers' environment, likewise. */
  readonly peers?: string
  /** The workloads that are asked for. */
  readonly only: ReadonlySet<Letter>
  readonly run: RunChild
  /** Is told of progress, one line at a time. */
  readonly log: (line: string) => void
}

/** The rounds within a process: those of the full measurement unless the user wants it quick. */
export function roundsOf({ quick }: BenchContext, full: Rounds): Rounds {
  return quick ? { warmUp: 1, rounds: 2 } : full
}

/** How often processes take turns: as in the full measurement unless the user set it or wants it quick. */
export function turnsOf({ quick, repeats }: BenchContext, full: number): number {
  return repeats ?? (quick ? 2 : full)
}
