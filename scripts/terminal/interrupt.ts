/** Ctrl-C as a signal, so that work can stop where it loses nothing. */
export interface Interrupt {
  readonly signal: AbortSignal
  /** Gives Ctrl-C back its usual meaning. */
  release(): void
}

/** What a shell expects of a program that Ctrl-C stopped: 128 + the number of SIGINT. */
export const interruptedExitCode = 130

/**
 * Turns the first Ctrl-C (or SIGTERM) into an abort; a second one ends the program at once.
 *
 * @param onInterrupt is called once, with the first one
 */
export function onInterrupt(onInterrupt: () => void): Interrupt {
  const controller = new AbortController()
  const handle = () => {
    if (controller.signal.aborted) process.exit(interruptedExitCode)
    controller.abort()
    onInterrupt()
  }
  process.on('SIGINT', handle)
  process.on('SIGTERM', handle)
  return {
    signal: controller.signal,
    release() {
      process.off('SIGINT', handle)
      process.off('SIGTERM', handle)
    },
  }
}
