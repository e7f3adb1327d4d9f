/** Puts bytes together to blocks as they come. */
export class BlockFilling {
  /** Bytes that have come. */
  bytes = 0
  private block: number
  private readonly sizeOf: (block: number) => number
  private current: Uint8Array | undefined
  private filled = 0

  /**
   * @param first number of the first block
   * @param sizeOf bytes of a block
   */
  constructor(first: number, sizeOf: (block: number) => number) {
    this.block = first
    this.sizeOf = sizeOf
  }

  /** The blocks that some bytes complete. */
  *take(
    chunk: Uint8Array,
  ): Generator<{ readonly block: number; readonly bytes: Uint8Array }, void, undefined> {
    for (let from = 0; from < chunk.length; ) {
      const size = this.sizeOf(this.block)
      if (size <= 0) return
      this.current ??= new Uint8Array(size)
      const part = chunk.subarray(from, from + size - this.filled)
      this.current.set(part, this.filled)
      this.filled += part.length
      this.bytes += part.length
      from += part.length
      if (this.filled < size) return
      const whole = { block: this.block++, bytes: this.current }
      this.current = undefined
      this.filled = 0
      yield whole
    }
  }
}

/** The blocks of objects that were used last, in memory: images that lie together are read one after another. */
export class HeldBlocks {
  private readonly most: number
  /** The newest at the end. */
  private readonly blocks = new Map<string, Uint8Array>()
  private readonly names = new WeakMap<object, number>()
  private count = 0

  /** @param most how many are held */
  constructor(most: number) {
    this.most = most
  }

  get(object: object, block: number): Uint8Array | undefined {
    const bytes = this.blocks.get(this.key(object, block))
    if (bytes) this.set(object, block, bytes)
    return bytes
  }

  set(object: object, block: number, bytes: Uint8Array): void {
    const key = this.key(object, block)
    this.blocks.delete(key)
    this.blocks.set(key, bytes)
    const [oldest] = this.blocks.keys()
    if (this.blocks.size > this.most && oldest !== undefined) this.blocks.delete(oldest)
  }

  private key(object: object, block: number): string {
    const name = this.names.get(object) ?? this.count++
    this.names.set(object, name)
    return `${name}/${block}`
  }
}
