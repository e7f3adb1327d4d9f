import { setImmediate } from 'node:timers/promises'

/** How often something is timed. */
export interface TimingPace {
  /** Calls of each before those that are timed, at most. */
  readonly warmUp: number
  /** Timed calls of each, at most. */
  readonly runs: number
  /** Timed calls of each, at least; 1 unless given. */
  readonly leastRuns?: number
  /** After which no further round begins, both of the warm-up and of the timed ones; no limit unless given. */
  readonly seconds?: number
}

/** What watches a timing. */
export interface TimingContext {
  /** Ends it between two calls, with its reason as the error. */
  readonly signal?: AbortSignal
  /** A clock, in milliseconds. */
  readonly now?: () => number
}

/**
 * Times calls in this process, all of them in turn in every round, so that a busy machine slows all.
 *
 * @returns for each call its times in seconds, round by round
 */
export async function timedInTurn(
  calls: readonly (() => Promise<unknown>)[],
  { warmUp, runs, leastRuns = 1, seconds = Infinity }: TimingPace,
  context: TimingContext = {},
): Promise<number[][]> {
  if (warmUp > 0) await rounds(calls, { most: warmUp, least: 1, seconds }, context)
  return rounds(calls, { most: runs, least: leastRuns, seconds }, context)
}

async function rounds(
  calls: readonly (() => Promise<unknown>)[],
  { most, least, seconds }: { readonly most: number; readonly least: number; readonly seconds: number },
  { signal, now = () => performance.now() }: TimingContext,
): Promise<number[][]> {
  const times: number[][] = calls.map(() => [])
  const start = now()
  let round = 0
  do {
    for (const [i, call] of calls.entries()) {
      // A signal is heard between calls only if the host gets its turn.
      await setImmediate()
      signal?.throwIfAborted()
      const before = now()
      await call()
      times[i]?.push((now() - before) / 1000)
    }
    round++
  } while (round < least || (round < most && now() - start < 1000 * seconds))
  return times
}
