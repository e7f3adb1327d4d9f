import { readdir, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'

/** Endings of the image files that are taken out of a folder. */
const imageEndings = new Set(['.jpg', '.jpeg', '.png', '.webp', '.gif', '.avif', '.tif', '.tiff', '.bmp'])

/**
 * The image files that a person names: files as they are, and those in the folders named, by name.
 *
 * @throws Error when a path is not there, or a folder has no image files
 */
export async function imagePaths(named: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    named.map(async path => {
      const isFolder = await stat(path).then(
        entry => entry.isDirectory(),
        (cause: unknown) => {
          throw new Error(`${path}: image must be readable, got ${(cause as Error).message}`, { cause })
        },
      )
      return isFolder ? imagesIn(path) : [path]
    }),
  )
  return found.flat()
}

async function imagesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder)
  const images = names.filter(name => imageEndings.has(extname(name).toLowerCase()) && !name.startsWith('.'))
  if (images.length > 0) return images.sort().map(name => join(folder, name))
  throw new Error(`${folder}: folder must hold image files, got 0 of ${names.length} entries`)
}
