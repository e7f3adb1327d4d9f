/** A command was called in a way that cannot work: the program ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** How a message of the library is said on the command line. */
export type Wording = (message: string) => string

/**
 * Runs a check of the user's settings and turns a value out of range into a usage error.
 *
 * @throws UsageError in place of a RangeError; everything else unchanged
 */
export function asUsage<T>(check: () => T, wording?: Wording): T {
  try {
    return check()
  } catch (error) {
    throw usageErrorOf(error, wording)
  }
}

/** As {@link asUsage}, for checks that take a while. */
export async function asUsageLater<T>(check: () => Promise<T>, wording?: Wording): Promise<T> {
  try {
    return await check()
  } catch (error) {
    throw usageErrorOf(error, wording)
  }
}

function usageErrorOf(error: unknown, wording: Wording = message => message): unknown {
  return error instanceof RangeError ? new UsageError(wording(error.message), { cause: error }) : error
}
