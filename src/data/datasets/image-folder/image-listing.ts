import type { DataSource } from '../../data-source.js'

/** The image files of a folder and of the folders in it, and what lies beside them. */
export interface ImageListing {
  /** Paths relative to the source, sorted folder by folder. */
  readonly paths: readonly string[]
  /** How many files were left out: hidden ones, and those that are no images by their names. */
  readonly ignored: number
  /**
   * Paths of the ignored files that are images of kinds that are not read, or may be images, as their names have no
   * ending.
   */
  readonly unsupported: readonly string[]
  /** Links that lead nowhere, or back to a folder above: their paths, each with the reason. */
  readonly links: readonly string[]
}

const endings = ['jpg', 'jpeg', 'jpe', 'jfif', 'png', 'webp', 'gif', 'avif', 'tif', 'tiff']
/** Endings of images that the decoder does not know. */
const unsupportedEndings = [
  ...[
    'bmp',
    'dib',
    'heic',
    'heif',
    'hif',
    'jp2',
    'j2k',
    'jpx',
    'jxl',
    'psd',
    'tga',
    'ico',
    'svg',
    'exr',
    'hdr',
  ],
  ...['pbm', 'pgm', 'ppm', 'pnm', 'dcm', 'dng', 'cr2', 'cr3', 'nef', 'arw', 'orf', 'rw2', 'raf', 'raw'],
]
/** Files without an ending that are no images. */
const plainNames = /^(readme|licen[cs]e|copying|notice|makefile|authors|checksums|md5sums?|sha\d+sums?)$/i
/** A link back to a folder above would otherwise be followed for ever. */
const deepest = 32

/**
 * Lists the image files of a folder, at any depth, by the endings of their names.
 *
 * @param folder relative to the source; an empty path is the source itself
 * @throws Error naming the folder when it cannot be read, or lies too deep
 */
export async function listImages(source: DataSource, folder: string): Promise<ImageListing> {
  const depth = folder.split('/').length
  if (depth > deepest) {
    throw new Error(
      `${source.describe(folder)}: folders must be at most ${deepest} deep, got ${depth} (does a link lead back?)`,
    )
  }
  const paths: string[] = []
  const unsupported: string[] = []
  const links = await strayLinks(source, folder)
  let ignored = 0
  for (const name of await source.list(folder)) {
    const path = joined(folder, name)
    if (isHidden(name)) ignored += name.endsWith('/') ? 0 : 1
    else if (name.endsWith('/')) {
      const inside = await listImages(source, path.slice(0, -1))
      for (const image of inside.paths) paths.push(image)
      unsupported.push(...inside.unsupported)
      links.push(...inside.links)
      ignored += inside.ignored
    } else if (isImageName(name)) paths.push(path)
    else {
      ignored++
      if (isUnsupported(name)) unsupported.push(path)
    }
  }
  return { paths, ignored, unsupported, links }
}

/** What lies directly in a folder. */
export interface FolderContent {
  /** Its folders without the hidden ones and without `/` at their ends. */
  readonly folders: readonly string[]
  /** Its image files by the endings of their names. */
  readonly images: readonly string[]
}

/**
 * Lists what lies directly in a folder.
 *
 * @throws Error naming the folder when it cannot be read
 */
export async function folderContent(source: DataSource, folder: string): Promise<FolderContent> {
  const names = (await source.list(folder)).filter(name => !isHidden(name))
  return {
    folders: names.filter(name => name.endsWith('/')).map(name => name.slice(0, -1)),
    images: names.filter(isImageName),
  }
}

/** The folders directly in a folder, without the hidden ones and without `/` at their ends. */
export async function listFolders(source: DataSource, folder: string): Promise<readonly string[]> {
  return (await folderContent(source, folder)).folders
}

/** Links directly in a folder that lead nowhere, or back: their paths, each with the reason. */
export async function strayLinks(source: DataSource, folder: string): Promise<string[]> {
  const links = (await source.strayLinks?.(folder)) ?? []
  return links
    .filter(({ name }) => !isHidden(name))
    .map(({ name, why }) => `${joined(folder, name)} (${why})`)
}

/** The path of what lies in a folder; an empty path is the source itself. */
export function joined(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`
}

/** Names that start with a dot, and the folder that macOS adds to archives. */
function isHidden(name: string): boolean {
  return name.startsWith('.') || name === '__MACOSX/'
}

function isImageName(name: string): boolean {
  return endings.includes(endingOf(name) ?? '')
}

function isUnsupported(name: string): boolean {
  const ending = endingOf(name)
  return ending === undefined ? !plainNames.test(name) : unsupportedEndings.includes(ending)
}

/** What follows the last dot of a file's name, in lower case; undefined where there is no dot. */
export function endingOf(name: string): string | undefined {
  const file = name.slice(name.lastIndexOf('/') + 1)
  const dot = file.lastIndexOf('.')
  return dot < 0 ? undefined : file.slice(dot + 1).toLowerCase()
}
