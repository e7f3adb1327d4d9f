/** What is read and decoded at the same time. */
const inFlight = 8

/**
 * Does something for each of the integers 0..count-1, a few at a time.
 *
 * @throws the first failure; nothing more is begun after it
 */
export async function eachInParallel(
  count: number,
  action: (position: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) {
      try {
        await action(next++)
      } catch (error) {
        next = count
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, worker))
}
