/** One of several things that are timed against each other. */
export interface Contestant {
  readonly name: string
  /** Does the work once, until its result is known to JavaScript. */
  run(): void | Promise<void>
}

/** How often everything runs. */
export interface Rounds {
  /** Rounds that are not timed. */
  readonly warmUp: number
  /** Rounds that are timed. */
  readonly rounds: number
  /**
   * Runs of a contestant before each one that is timed; 0 unless given. What a large contestant leaves behind, in caches
   * and in freed memory, slows the next one by milliseconds.
   */
  readonly lead?: number
}

/**
 * Times contestants in turn, A B C, B C A, C A B, so that what disturbs the machine for a while disturbs all of them, and
 * the one that begins changes.
 *
 * @param now a clock, in milliseconds
 * @returns seconds of each run by contestant, in the order of the rounds
 */
export async function alternate(
  contestants: readonly Contestant[],
  { warmUp, rounds, lead = 0 }: Rounds,
  now: () => number = () => performance.now(),
): Promise<Record<string, number[]>> {
  const seconds: Record<string, number[]> = Object.fromEntries(contestants.map(({ name }) => [name, []]))
  for (let round = -warmUp; round < rounds; round++) {
    const first = (round + warmUp) % contestants.length
    for (const contestant of [...contestants.slice(first), ...contestants.slice(0, first)]) {
      for (let run = 0; run < lead; run++) await contestant.run()
      const start = now()
      await contestant.run()
      const elapsed = (now() - start) / 1000
      if (round >= 0) seconds[contestant.name]!.push(elapsed)
    }
  }
  return seconds
}
