/** Most bytes of pixels that are being decoded at a time; a larger image is decoded alone. */
const mostBytes = 2 ** 28

/** Memory for pixels that several decodings share: who finds no room waits, in order. */
class DecodingRoom {
  private used = 0
  private readonly waiting: { readonly bytes: number; readonly enter: () => void }[] = []

  /** Does some work when there is room for its bytes. */
  async with<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    const share = Math.min(bytes, mostBytes)
    if (this.waiting.length > 0 || this.used + share > mostBytes) {
      await new Promise<void>(enter => this.waiting.push({ bytes: share, enter }))
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
      if (!first || this.used + first.bytes > mostBytes) return
      this.waiting.shift()
      this.used += first.bytes
      first.enter()
    }
  }
}

/** The room of this process. */
export const decodingRoom = new DecodingRoom()
