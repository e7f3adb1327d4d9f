/** No user of this number is known to any system: it owns nothing. */
const nobody = 65_534

/** Runs an action as a user to whom permissions apply, also where the tests are run by root. */
export async function asOrdinaryUser<T>(action: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return action()
  process.seteuid?.(nobody)
  try {
    return await action()
  } finally {
    process.seteuid?.(0)
  }
}
