const millisecondsBetweenTurns = 50

/**
 * Creates a pause for long computations: awaited between their pieces, it gives the host (a page, a terminal, a
 * signal handler) its turn about 20 times a second.
 *
 * Synchronous backends answer within one turn of the event loop, so that without pauses no abort would be noticed.
 * A message is used because browsers slow the timers of hidden pages down.
 *
 * @returns a function whose promise resolves at once, except when a turn is due
 */
export function hostTurns(): () => Promise<void> {
  let last = performance.now()
  return async () => {
    if (performance.now() - last < millisecondsBetweenTurns) return
    await nextTurn()
    last = performance.now()
  }
}

/** Resolves in the next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(0)
  })
}
