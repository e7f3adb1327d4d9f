import type { DataSource } from './data-source.js'

/** The image files of a folder and of the folders in it. */
export interface ImageListing {
  /** Paths relative to the source, sorted folder by folder. */
  readonly paths: readonly string[]
  /** How many files were left out: hidden ones, and those that are no images by their names. */
  readonly ignored: number
}

const endings = ['jpg', 'jpeg', 'jpe', 'jfif', 'png', 'webp', 'gif', 'avif', 'tif', 'tiff']
/** Folders that a link leads back to would otherwise be walked for ever. */
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
  let ignored = 0
  for (const name of await source.list(folder)) {
    const path = folder === '' ? name : `${folder}/${name}`
    if (isHidden(name)) ignored += name.endsWith('/') ? 0 : 1
    else if (name.endsWith('/')) {
      const inside = await listImages(source, path.slice(0, -1))
      for (const image of inside.paths) paths.push(image)
      ignored += inside.ignored
    } else if (isImageName(name)) paths.push(path)
    else ignored++
  }
  return { paths, ignored }
}

/** The folders directly in a folder, without the hidden ones and without `/` at their ends. */
export async function listFolders(source: DataSource, folder: string): Promise<readonly string[]> {
  const names = await source.list(folder)
  return names.filter(name => name.endsWith('/') && !isHidden(name)).map(name => name.slice(0, -1))
}

/** Names that start with a dot, and the folder that macOS adds to archives. */
function isHidden(name: string): boolean {
  return name.startsWith('.') || name === '__MACOSX/'
}

function isImageName(name: string): boolean {
  const dot = name.lastIndexOf('.')
  return dot >= 0 && endings.includes(name.slice(dot + 1).toLowerCase())
}
