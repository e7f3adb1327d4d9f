/**
 * Does work on 0..count-1, several at a time, and yields what comes out in order.
 *
 * @param inFlight how many are worked on at a time, waiting results included
 * @throws what `work` throws, when its turn comes; work that has started then goes on, and its results and errors are
 *   ignored
 */
export async function* orderedWork<T>(
  count: number,
  inFlight: number,
  work: (index: number) => Promise<T>,
): AsyncGenerator<T, void, undefined> {
  const started: Promise<T>[] = []
  let next = 0
  while (next < count || started.length > 0) {
    while (next < count && started.length < inFlight) {
      const working = work(next++)
      // After an earlier failure nobody awaits this promise: without a handler its failure would end the process.
      working.catch(() => undefined)
      started.push(working)
    }
    yield await (started.shift() as Promise<T>)
  }
}
