/** Asks again and again, and shows the last answer alone: what is asked anew gives up what was asked before. */
export class Latest {
  private current: AbortController | undefined

  /**
   * @param ask what is asked; it is given up with the signal
   * @param show is called with the answer, or with the error, unless something else was asked meanwhile
   */
  async run<Answer>(
    ask: (signal: AbortSignal) => Promise<Answer>,
    show: (answer: Answer) => void,
    fail: (error: Error) => void,
  ): Promise<void> {
    this.current?.abort()
    const own = new AbortController()
    this.current = own
    try {
      const answer = await ask(own.signal)
      if (!own.signal.aborted) show(answer)
    } catch (error) {
      if (!own.signal.aborted) fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Gives up what is asked. */
  stop(): void {
    this.current?.abort()
  }
}
