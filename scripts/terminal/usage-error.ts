/** A command was called in a way that cannot work: the program ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * Runs a check of the user's settings and turns a value out of range into a usage error.
 *
 * @throws UsageError in place of a RangeError; everything else unchanged
 */
export function asUsage<T>(check: () => T): T {
  try {
    return check()
  } catch (error) {
    throw usageErrorOf(error)
  }
}

/** As {@link asUsage}, for checks that take a while. */
export async function asUsageLater<T>(check: () => Promise<T>): Promise<T> {
  try {
    return await check()
  } catch (error) {
    throw usageErrorOf(error)
  }
}

function usageErrorOf(error: unknown): unknown {
  return error instanceof RangeError ? new UsageError(error.message, { cause: error }) : error
}
