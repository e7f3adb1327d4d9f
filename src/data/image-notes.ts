import type { DecodeImage } from './image-decoding.js'

/** What was done to images that their owner may not expect, counted: one line for each kind. */
export class ImageNotes {
  private readonly kinds = new Map<string, { count: number; first: string }>()

  /**
   * @param name of the image
   * @param text what holds of it, without its name: `has 16 bits a sample: scaled to 8`
   */
  add(name: string, text: string): void {
    const kind = this.kinds.get(text)
    if (!kind) {
      this.kinds.set(text, { count: 1, first: name })
      return
    }
    kind.count++
    // Images are decoded several at a time: which one is named must not depend on which is decoded first.
    if (name < kind.first) kind.first = name
  }

  /** The notes in the order of their texts, each with its number of images and the name of one. */
  get lines(): string[] {
    const kinds = [...this.kinds].sort(([a], [b]) => (a < b ? -1 : 1))
    return kinds.map(([text, { count, first }]) =>
      count === 1 ? `${first}: ${text}` : `${count} images: ${text} (one of them: ${first})`,
    )
  }

  /** A decoder whose notes are added here. */
  listen(decode: DecodeImage): DecodeImage {
    return (bytes, decoding, name) => decode(bytes, decoding, name, text => this.add(name, text))
  }
}
