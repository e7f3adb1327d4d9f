import { basename, dirname } from 'node:path'
import { readTiffDirectories, type TiffDirectory } from '../../data/formats/tiff-header.js'
import type { RegionSource } from '../../data/regions/region-source.js'
import type { Size2D } from '../../shapes.js'
import { dataFolder } from '../data-folder.js'
import type { DecodedPart, ImageFile } from './image-file.js'
import { factorOf, type TiledLevel, tileBox, tiledSource } from './tiled-source.js'

/**
 * The source of a tiled TIFF file: only the tiles that are hit are read. Where the file has smaller versions of its image, as further
 * pages or, as in OME-TIFF, below its first one, views are made of those. Files of Aperio (`.svs`) do not mark such pages as smaller
 * versions: there it is their size that tells.
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
  const below = (first.below ?? []).map((directory, subifd) => ({ directory, place: { page: 0, subifd } }))
  const pages = directories.map((directory, page) => ({ directory, place: { page } }))
  const isMarked = !first.description?.startsWith('Aperio')
  const levels = [...pages, ...below].flatMap(each => levelOf(file, first.size, each, isMarked) ?? [])
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

/** A directory of a file, and where it stands there. */
interface PlacedDirectory {
  readonly directory: TiffDirectory
  readonly place: Pick<DecodedPart, 'page' | 'subifd'>
}

function levelOf(
  file: ImageFile,
  largest: Size2D,
  { directory: { size, tile, isReduced }, place }: PlacedDirectory,
  isMarked: boolean,
): TiledLevel | undefined {
  const isFirst = place.page === 0 && place.subifd === undefined
  const factor = isFirst ? 1 : isReduced || !isMarked ? factorOf(size, largest) : undefined
  if (factor === undefined || !tile) return undefined
  const level = { size, tile }
  const part = { ...place, random: true }
  return {
    ...level,
    factor,
    boxOf: (row, column) => tileBox(level, row, column),
    readRow: row => {
      const [top, , rows] = tileBox(level, row, 0)
      return file.decode({ ...part, box: [top, 0, rows, size[1]] })
    },
    read: (row, column) => file.decode({ ...part, box: tileBox(level, row, column) }),
  }
}
