/** How many positions are worked on at the same time. */
const inFlight = 8

/**
 * Does something for each of the integers 0..count-1, a few at a time; returns when nothing is under way any more.
 *
 * @throws the failure of the lowest position; nothing more is begun after a failure
 */
export async function eachInParallel(
  count: number,
  action: (position: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const failures: { readonly position: number; readonly error: unknown }[] = []
  const worker = async (): Promise<void> => {
    while (next < count && failures.length === 0) {
      const position = next++
      try {
        await action(position)
      } catch (error) {
        failures.push({ position, error })
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, worker))
  // Positions are begun in order, so that all below a failed one have ended too: the lowest is always the same.
  failures.sort((a, b) => a.position - b.position)
  if (failures[0]) throw failures[0].error
}
