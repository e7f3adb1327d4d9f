import { basename, dirname } from 'node:path'
import { readTiffDirectories, type TiffDirectory } from '../../data/formats/tiff-header.js'
import type { RegionSource } from '../../data/regions/region-source.js'
import type { Size2D } from '../../shapes.js'
import { dataFolder } from '../data-folder.js'
import type { ImageFile } from './image-file.js'
import { factorOf, type TiledLevel, tileBox, tiledSource } from './tiled-source.js'

/**
 * The source of a tiled TIFF file: only the tiles that are hit are read. Where the file has smaller versions of its image as further
 * pages, views are made of those.
 *
 * @returns undefined for other files, and where the image is stored turned
 * @throws Error naming the file where its directories are damaged
 */
export async function tiffSource(file: ImageFile): Promise<RegionSource | undefined> {
  const { path, channels, turn, about } = file
  const isTurned = turn.transposed || turn.rowsReversed || turn.columnsReversed
  if (about.format !== 'tiff' || isTurned) return undefined
  const directories = await directoriesOf(path)
  const [first] = directories
  if (!first?.tile) return undefined
  const levels = directories.flatMap((directory, page) => levelOf(file, first.size, directory, page) ?? [])
  const [largest, ...smaller] = levels
  if (!largest) return undefined
  return tiledSource({ name: path, channels, levels: [largest, ...smaller] })
}

async function directoriesOf(path: string): Promise<readonly TiffDirectory[]> {
  const bytes = await dataFolder(dirname(path)).open(basename(path))
  try {
    return await readTiffDirectories(bytes, path)
  } finally {
    await bytes.close()
  }
}

function levelOf(
  file: ImageFile,
  largest: Size2D,
  { size, tile, isReduced }: TiffDirectory,
  page: number,
): TiledLevel | undefined {
  const factor = page === 0 ? 1 : isReduced ? factorOf(size, largest) : undefined
  if (factor === undefined || !tile) return undefined
  const level = { size, tile }
  return {
    ...level,
    factor,
    boxOf: (row, column) => tileBox(level, row, column),
    readRow: row => {
      const [top, , rows] = tileBox(level, row, 0)
      return file.decode({ box: [top, 0, rows, size[1]], page, random: true })
    },
    read: (row, column) => file.decode({ box: tileBox(level, row, column), page, random: true }),
  }
}
