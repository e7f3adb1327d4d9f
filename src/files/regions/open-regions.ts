import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenRegions, RegionSource } from '../../data/regions/region-source.js'
import { ImageFile, type RegionDecoding } from './image-file.js'
import { deepZoomSource, iiifSource } from './pyramid-source.js'
import { fileSource } from './sharp-source.js'
import { tiffSource } from './tiff-source.js'

/**
 * Opens the image files of a folder to be read in parts, by their paths in it: what `openRegions` of a dataset's options is.
 *
 * @param directory the folder of the dataset
 */
export function regionsIn(directory: string, decoding: RegionDecoding = {}): OpenRegions {
  return path => openRegions(join(directory, path), decoding)
}

/**
 * Opens an image on the disk to be read in parts, by what it is: a Deep Zoom image (`.dzi`), an IIIF image (its
 * `info.json`, or the folder of it), a tiled TIFF file that is not small (see `decodedWhole`), or any other image file.
 *
 * @throws Error naming the file when it is not there, no image, or damaged
 */
export async function openRegions(path: string, decoding: RegionDecoding = {}): Promise<RegionSource> {
  if (/\.dzi$/i.test(path)) return deepZoomSource(path, decoding)
  if (/(^|[\\/])info\.json$/i.test(path)) return iiifSource(path, decoding)
  const stats = await stat(path).catch(() => undefined)
  if (stats?.isDirectory()) return iiifSource(join(path, 'info.json'), decoding)
  const file = await ImageFile.open(path, decoding)
  const tiles = await tiffSource(file)
  return tiles && !file.isSmall ? tiles : fileSource(file)
}
