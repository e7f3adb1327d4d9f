/** Room that several pieces of work share, such as memory: who finds no room waits, in order. */
export class SharedRoom {
  private readonly most: number
  private used = 0
  private readonly waiting: { readonly share: number; readonly enter: () => void }[] = []

  /** @param most how much there is of it; work that needs more is done alone */
  constructor(most: number) {
    this.most = most
  }

  /** Does some work when there is room for its share. */
  async with<T>(needed: number, work: () => Promise<T>): Promise<T> {
    const share = Math.min(needed, this.most)
    if (this.waiting.length > 0 || this.used + share > this.most) {
      await new Promise<void>(enter => this.waiting.push({ share, enter }))
    } else {
      this.used += share
    }
    try {
      return await work()
    } finally {
      this.used -= share
      this.admit()
    }
  }

  private admit(): void {
    for (;;) {
      const [first] = this.waiting
      if (!first || this.used + first.share > this.most) return
      this.waiting.shift()
      this.used += first.share
      first.enter()
    }
  }
}
