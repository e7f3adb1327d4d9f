/** An image that could not be read or decoded, and why. */
export interface UnreadableImage {
  readonly name: string
  readonly reason: string
}

/** How many images may be unreadable: a number of images, or a share of all as a percentage, `'1%'`. */
export type UnreadableLimit = number | `${number}%`

/** The limit where none is given. */
export const defaultUnreadableLimit: UnreadableLimit = '1%'

/** Images that an error names at most. */
const mostNamed = 5

/**
 * The unreadable images of a dataset: each is named and left out, up to a limit beyond which the dataset is refused.
 *
 * A limit in percent is rounded down, but allows one image unless it is 0%: a small folder with one bad file is usable.
 */
export class UnreadableImages {
  readonly images: UnreadableImage[] = []
  /** Images that may be unreadable. */
  readonly allowed: number
  private readonly where: string
  private readonly total: number
  private readonly limit: UnreadableLimit

  /**
   * @param where the caller, for errors
   * @param total images that are to be read
   * @throws RangeError when the limit is neither an integer of at least 0 nor a percentage in [0, 100]
   */
  constructor(where: string, total: number, limit: UnreadableLimit = defaultUnreadableLimit) {
    this.where = where
    this.total = total
    this.limit = limit
    this.allowed = allowedOf(where, total, limit)
  }

  /** Whether more images than allowed were added. */
  get isTooMany(): boolean {
    return this.images.length > this.allowed
  }

  /** Keeps an image and the error that it gave. */
  add(name: string, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error)
    this.images.push({ name, reason: text })
  }

  /**
   * Checks that no more images than allowed are unreadable.
   *
   * @throws Error with the limit, and the first of the images with their reasons
   */
  check(): void {
    if (!this.isTooMany) return
    const { allowed, limit, total, images } = this
    const share = typeof limit === 'number' ? '' : `${limit}, `
    const more = images.length > mostNamed ? `\n  and ${images.length - mostNamed} more` : ''
    throw new Error(
      `${this.where}: unreadable images must be at most ${allowed} (${share}maxUnreadable or --max-unreadable), ` +
        `got ${images.length} of ${total}:\n  ${images.slice(0, mostNamed).map(unreadableText).join('\n  ')}${more}`,
    )
  }
}

/** An unreadable image in one line; reasons that begin with the name do not get it twice. */
export function unreadableText({ name, reason }: UnreadableImage): string {
  return reason.startsWith(name) ? reason : `${name}: ${reason}`
}

function allowedOf(where: string, total: number, limit: UnreadableLimit): number {
  if (typeof limit === 'number') {
    if (Number.isInteger(limit) && limit >= 0) return limit
  } else {
    const percent = /^\d+(\.\d+)?%$/.test(limit) ? Number.parseFloat(limit) : Number.NaN
    if (percent === 0) return 0
    if (percent <= 100) return Math.max(1, Math.floor((total * percent) / 100))
  }
  throw new RangeError(
    `${where}: maxUnreadable must be an integer of at least 0 or a percentage up to 100%, got ${limit}`,
  )
}
