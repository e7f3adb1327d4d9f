/** Most bytes of pixels that are held at a time, of all images together. */
const mostBytes = 2 ** 28

let used = 0

/** A decoded image that is held from its view to its regions, so that the file is decoded once. */
export class HeldPixels {
  private readonly bytes: number
  private readonly decode: () => Promise<Uint8Array>
  private pixels: Promise<Uint8Array> | undefined

  /**
   * @param bytes that the pixels take
   * @param decode decodes the whole image
   */
  constructor(bytes: number, decode: () => Promise<Uint8Array>) {
    this.bytes = bytes
    this.decode = decode
  }

  /** The whole image, decoded now unless it is held; it is held from then on where there is room for it. */
  whole(): Promise<Uint8Array> {
    if (this.pixels) return this.pixels
    const pixels = this.decode()
    if (used + this.bytes > mostBytes) return pixels
    this.pixels = pixels
    used += this.bytes
    abandoned.register(this, { bytes: this.bytes }, this)
    // An image that cannot be decoded is decoded again when it is asked for again.
    pixels.catch(() => this.release())
    return pixels
  }

  /** The whole image where it is held. */
  get held(): Promise<Uint8Array> | undefined {
    return this.pixels
  }

  /** Lets go of the pixels. */
  release(): void {
    if (!this.pixels) return
    this.pixels = undefined
    used -= this.bytes
    abandoned.unregister(this)
  }
}

/** Gives back the room of images that nobody closed. */
const abandoned = new FinalizationRegistry<{ readonly bytes: number }>(({ bytes }) => {
  used -= bytes
})
