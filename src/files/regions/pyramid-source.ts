import { access, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import * as z from 'zod'
import type { RegionSource } from '../../data/regions/region-source.js'
import type { Size2D } from '../../shapes.js'
import { ImageFile, type RegionDecoding } from './image-file.js'
import { type TiledLevel, tileBox, tiledSource } from './tiled-source.js'

/** An image cut into tiles of files, at sizes of which each is half of the one before. */
interface Pyramid {
  readonly size: Size2D
  readonly tile: Size2D
  /** Pixels that a tile shows of its neighbours on each side. */
  readonly overlap: number
  readonly factors: readonly number[]
  /** The files that a tile may be in; the first that is there is read. */
  tilePaths(factor: number, row: number, column: number): readonly string[]
}

/**
 * Opens a Deep Zoom image: `name.dzi`, with its tiles in `name_files/LEVEL/COLUMN_ROW.FORMAT`. Scales that are powers of two
 * are read from their level directly.
 *
 * @param path of the `.dzi` file
 * @throws Error naming the file that is missing or damaged, or, when it is read, the tile
 */
export async function deepZoomSource(path: string, decoding: RegionDecoding = {}): Promise<RegionSource> {
  const text = await readText(path)
  const number = (name: string): number => {
    const value = Number(new RegExp(`\\b${name}\\s*=\\s*["'](\\d+)["']`).exec(text)?.[1])
    if (Number.isInteger(value)) return value
    throw new Error(`${path}: Deep Zoom description must have a number ${name}, got none`)
  }
  const format = /\bFormat\s*=\s*["'](\w+)["']/.exec(text)?.[1]
  if (format === undefined) throw new Error(`${path}: Deep Zoom description must have a Format, got none`)
  const size: Size2D = [number('Height'), number('Width')]
  const side = number('TileSize')
  checkSizes(path, [...size, side])
  const last = Math.ceil(Math.log2(Math.max(...size)))
  const files = join(dirname(path), `${basename(path).replace(/\.(dzi|xml)$/i, '')}_files`)
  return pyramidSource(path, decoding, {
    size,
    tile: [side, side],
    overlap: number('Overlap'),
    factors: Array.from({ length: last + 1 }, (_, level) => 2 ** level),
    tilePaths: (factor, row, column) => [
      join(files, String(last - Math.log2(factor)), `${column}_${row}.${format}`),
    ],
  })
}

const infoSchema = z.looseObject({
  width: z.int().min(1),
  height: z.int().min(1),
  tiles: z
    .array(
      z.looseObject({
        width: z.int().min(1),
        height: z.int().min(1).optional(),
        scaleFactors: z.array(z.int().min(1)).min(1),
      }),
    )
    .min(1),
})

/**
 * Opens the tiles of an IIIF image in a folder (image API 2 or 3, level 0): `info.json`, with its tiles in
 * `X,Y,WIDTH,HEIGHT/SIZE/0/default.jpg`, SIZE being `w,h` or `w,`. Scales that are among its factors are read from their level directly.
 *
 * @param path of the `info.json` file
 * @throws Error naming the file that is missing or damaged, or, when it is read, the tile
 */
export async function iiifSource(path: string, decoding: RegionDecoding = {}): Promise<RegionSource> {
  const text = await readText(path)
  const parsed = infoSchema.safeParse(parseJson(text, path))
  if (!parsed.success) {
    throw new Error(
      `${path}: IIIF description must be as the image API says, got ${z.prettifyError(parsed.error)}`,
    )
  }
  const { width, height, tiles } = parsed.data
  const [{ width: tileWidth, height: tileHeight = tileWidth, scaleFactors }] = tiles as [(typeof tiles)[0]]
  const size: Size2D = [height, width]
  return pyramidSource(path, decoding, {
    size,
    tile: [tileHeight, tileWidth],
    overlap: 0,
    factors: [...new Set([1, ...scaleFactors])],
    tilePaths: (factor, row, column) => {
      const [top, left] = [row * tileHeight * factor, column * tileWidth * factor]
      const rows = Math.min(tileHeight * factor, height - top)
      const columns = Math.min(tileWidth * factor, width - left)
      const [shownWidth, shownHeight] = [Math.ceil(columns / factor), Math.ceil(rows / factor)]
      const regions = [`${left},${top},${columns},${rows}`]
      if (rows === height && columns === width) regions.push('full')
      const sizes = [
        `${shownWidth},${shownHeight}`,
        `${shownWidth},`,
        ...(factor === 1 ? ['full', 'max'] : []),
      ]
      return regions.flatMap(region =>
        sizes.flatMap(shown =>
          ['jpg', 'png', 'webp'].map(ending => join(dirname(path), region, shown, '0', `default.${ending}`)),
        ),
      )
    },
  })
}

function pyramidSource(
  name: string,
  { channels = 3, whiteLevel }: RegionDecoding,
  pyramid: Pyramid,
): RegionSource {
  if (channels !== 1 && channels !== 3) {
    throw new RangeError(`${name}: channels must be 1 or 3, got ${channels}`)
  }
  const levels = pyramid.factors.map((factor): TiledLevel => {
    const size = pyramid.size.map(side => Math.ceil(side / factor)) as [number, number]
    const level = { size, tile: pyramid.tile }
    const boxOf: TiledLevel['boxOf'] = (row, column) => tileBox(level, row, column, pyramid.overlap)
    return {
      ...level,
      factor,
      boxOf,
      async read(row, column) {
        const where = `tile of row ${row}, column ${column} at 1/${factor}`
        const path = await firstThere(pyramid.tilePaths(factor, row, column))
        if (path === undefined) {
          const [expected] = pyramid.tilePaths(factor, row, column)
          throw new Error(`${expected}: file must be there, got nothing there (${where})`)
        }
        const tile = await ImageFile.open(path, { channels, ...(whiteLevel !== undefined && { whiteLevel }) })
        const [, , height, width] = boxOf(row, column)
        if (tile.stored[0] !== height || tile.stored[1] !== width) {
          throw new Error(
            `${path}: tile must be ${height}x${width}, got ${tile.stored[0]}x${tile.stored[1]} (${where})`,
          )
        }
        return tile.decode()
      },
    }
  })
  return tiledSource({ name, channels, levels: levels as [TiledLevel, ...TiledLevel[]] })
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return undefined
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Error(`${path}: file must be readable, got ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    })
  })
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error(`${path}: file must hold JSON, got ${text.length} characters that do not`, { cause })
  }
}

function checkSizes(path: string, sizes: readonly number[]): void {
  if (sizes.every(side => side >= 1)) return
  throw new Error(`${path}: Height, Width and TileSize must be at least 1, got ${sizes.join(', ')}`)
}
