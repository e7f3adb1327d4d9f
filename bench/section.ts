import type { BackendName } from '../src/backend/choose.js'
import type { Rounds } from './alternate.js'
import type { Letter } from './bench-result.js'
import type { RunChild } from './child-process.js'

/** What every section is handed. */
export interface BenchContext {
  /** What the user asked for. */
  readonly backend: BackendName | 'auto'
  /** Whether tiny sizes and few rounds are to show that everything runs. */
  readonly quick: boolean
  /** Alternating rounds, where the user set them. */
  readonly repeats?: number
  /** The interpreter of the peers' environment, where peers are to be measured. */
  readonly python?: string
  /** The workloads that are asked for. */
  readonly only: ReadonlySet<Letter>
  readonly run: RunChild
  /** Is told of progress, one line at a time. */
  readonly log: (line: string) => void
}

/** The rounds of a workload: those of the full measurement unless the user set them or wants it quick. */
export function roundsOf({ quick, repeats }: BenchContext, full: Rounds): Rounds {
  const { warmUp, rounds } = quick ? { warmUp: 1, rounds: 2 } : full
  return { warmUp, rounds: repeats ?? rounds }
}
