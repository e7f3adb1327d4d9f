import type { DataSource } from '../../data-source.js'
import { counted, listed } from './folder-halves.js'
import { endingOf, type ImageListing, strayLinks } from './image-listing.js'

/** Collects what is not read of a folder of images, from the listings of its parts. */
export class LeftOut {
  private readonly source: DataSource
  private readonly unsupported: string[] = []
  private readonly links: string[] = []
  private readonly twins: string[] = []

  constructor(source: DataSource) {
    this.source = source
  }

  add({ paths, unsupported, links }: ImageListing): void {
    this.unsupported.push(...unsupported)
    this.links.push(...links)
    this.twins.push(...twinsAmong(paths))
  }

  /** Adds the links directly in a folder whose folders are listed one by one. */
  async addLinks(folder: string): Promise<void> {
    this.links.push(...(await strayLinks(this.source, folder)))
  }

  /** A sentence for each kind. */
  get notes(): string[] {
    const { unsupported, links, twins, source } = this
    const notes: string[] = []
    if (unsupported.length > 0) {
      notes.push(
        `Left out, as their kind is not read: ${countedEndings(unsupported)} (convert them to PNG or JPEG), ` +
          `one of them ${source.describe(unsupported[0] as string)}.`,
      )
    }
    if (links.length > 0) notes.push(`Left out: ${listed(links.map(link => source.describe(link)))}.`)
    if (twins.length > 0) {
      notes.push(
        `${counted(twins.length, 'file')} ${twins.length === 1 ? 'has' : 'have'} the name of another one, ` +
          `with letters composed in another way; all are read: ${listed(twins.map(path => source.describe(path)))}.`,
      )
    }
    return notes
  }
}

/** `6 .bmp and 3 .heic files`. */
export function countedEndings(paths: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const path of paths) {
    const ending = endingOf(path)
    const kind = ending === undefined ? 'without an ending' : `.${ending}`
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  const parts = [...counts].map(([kind, count]) => `${count} ${kind}`)
  const last = parts.pop()
  const all = parts.length === 0 ? last : `${parts.join(', ')} and ${last}`
  return `${all} ${paths.length === 1 ? 'file' : 'files'}`
}

/** Files whose path equals an earlier one once both are composed (Unicode NFC). */
function twinsAmong(paths: readonly string[]): string[] {
  const earlier = new Set<string>()
  return paths.filter(path => {
    const composed = path.normalize('NFC')
    if (earlier.has(composed)) return true
    earlier.add(composed)
    return false
  })
}
