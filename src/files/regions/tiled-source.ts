import type { ObjectBox } from '../../data/compose/object-box.js'
import { eachInParallel } from '../../data/each-in-parallel.js'
import { BlockMeans, checkScale } from '../../data/regions/block-means.js'
import { copyPart, emptyRegions, type ImagePart, regionSize } from '../../data/regions/region-boxes.js'
import type { RegionSource } from '../../data/regions/region-source.js'
import { type Size2D, viewSize } from '../../shapes.js'

/** An image of one size, in tiles. */
export interface TiledLevel {
  /** By how much it is smaller than the largest level. */
  readonly factor: number
  /** Height and width, in pixels. */
  readonly size: Size2D
  /** Height and width of its tiles; those at the edges may be smaller. */
  readonly tile: Size2D
  /** What a tile shows, in pixels of the level; at least its own cell of the grid of tiles. */
  boxOf(row: number, column: number): ObjectBox
  /**
   * Reads the pixels of that box, (height, width, channels).
   *
   * @throws Error naming the tile that is missing or damaged
   */
  read(row: number, column: number): Promise<Uint8Array>
  /** Reads a whole row of tiles as one strip, where that is quicker than one tile after the other. */
  readRow?(row: number): Promise<Uint8Array>
}

/** An image in tiles. */
export interface TiledImage {
  /** For errors. */
  readonly name: string
  readonly channels: number
  /** The largest first. */
  readonly levels: readonly [TiledLevel, ...TiledLevel[]]
  /** Ends what reading has opened. */
  close?(): Promise<void>
}

/**
 * An image in tiles as one that is read in parts: only the tiles that boxes hit are read, each once for all boxes, and a view is
 * made of the smallest level whose blocks fit, a row of tiles at a time. So memory does not depend on the height of the image.
 *
 * A view of the largest level is exact; of a smaller one it is what that level shows.
 */
export function tiledSource({ name, channels, levels, close }: TiledImage): RegionSource {
  const [largest] = levels
  const [height, width] = largest.size
  return {
    height,
    width,
    channels,
    async view(scale) {
      checkScale(scale, name)
      const fitting = levels.filter(({ factor }) => scale % factor === 0)
      const level = fitting.sort((a, b) => b.factor - a.factor)[0] ?? largest
      const blocks = scale / level.factor
      const means = new BlockMeans([level.size[0], level.size[1], channels], blocks)
      for (let row = 0; row * level.tile[0] < level.size[0]; row++) {
        means.add(await (level.readRow?.(row) ?? tileRow(level, row, channels)))
      }
      return fitted(means.view, viewSize(level.size, blocks), viewSize(largest.size, scale), channels)
    },
    async regions(boxes) {
      const size = regionSize(boxes, [height, width], name)
      const regions = emptyRegions(boxes, size, channels)
      const hits = tilesHit(largest, regions.parts)
      await eachInParallel(hits.length, async number => {
        const { row, column, parts } = hits[number] as TileHit
        const from = { box: largest.boxOf(row, column), pixels: await largest.read(row, column) }
        for (const part of parts) copyPart(from, part, channels)
      })
      return regions.pixels
    },
    ...(close && { close }),
  }
}

/** A row of tiles as one strip of the image. */
async function tileRow(level: TiledLevel, row: number, channels: number): Promise<Uint8Array> {
  const [tileHeight, tileWidth] = level.tile
  const top = row * tileHeight
  const [rows, width] = [Math.min(tileHeight, level.size[0] - top), level.size[1]]
  const strip: ImagePart = { box: [top, 0, rows, width], pixels: new Uint8Array(rows * width * channels) }
  await eachInParallel(Math.ceil(width / tileWidth), async column => {
    copyPart({ box: level.boxOf(row, column), pixels: await level.read(row, column) }, strip, channels)
  })
  return strip.pixels
}

/** A tile, and the regions that have pixels of its cell. */
interface TileHit {
  readonly row: number
  readonly column: number
  readonly parts: ImagePart[]
}

function tilesHit({ size, tile }: TiledLevel, parts: readonly ImagePart[]): readonly TileHit[] {
  const hits = new Map<number, TileHit>()
  const columns = Math.ceil(size[1] / tile[1])
  for (const part of parts) {
    const [top, left, height, width] = part.box
    const lastRow = Math.floor((Math.min(size[0], top + height) - 1) / tile[0])
    const lastColumn = Math.floor((Math.min(size[1], left + width) - 1) / tile[1])
    for (let row = Math.floor(Math.max(0, top) / tile[0]); row <= lastRow; row++) {
      for (let column = Math.floor(Math.max(0, left) / tile[1]); column <= lastColumn; column++) {
        const key = row * columns + column
        const hit = hits.get(key) ?? { row, column, parts: [] }
        hit.parts.push(part)
        hits.set(key, hit)
      }
    }
  }
  return [...hits.values()]
}

/** A view that lacks its last row or column, because a level was rounded down, gets the one before again. */
function fitted(view: Uint8Array, from: Size2D, to: Size2D, channels: number): Uint8Array {
  if (from[0] === to[0] && from[1] === to[1]) return view
  const whole = new Uint8Array(to[0] * to[1] * channels)
  for (let y = 0; y < to[0]; y++) {
    for (let x = 0; x < to[1]; x++) {
      const source = (Math.min(y, from[0] - 1) * from[1] + Math.min(x, from[1] - 1)) * channels
      whole.set(view.subarray(source, source + channels), (y * to[1] + x) * channels)
    }
  }
  return whole
}

/**
 * The factor of a smaller level: a power of two that gives its size, rounded up or down.
 *
 * @returns undefined where there is none
 */
export function factorOf(size: Size2D, largest: Size2D): number | undefined {
  const factor = 2 ** Math.round(Math.log2(Math.max(largest[0] / size[0], largest[1] / size[1])))
  const isReduced = factor > 1 && size.every((side, axis) => Math.abs(side - largest[axis]! / factor) < 1)
  return isReduced ? factor : undefined
}

/** The cell of a tile, as far as it lies in the image; a tile that overlaps others shows more. */
export function tileBox(
  { size, tile }: Pick<TiledLevel, 'size' | 'tile'>,
  row: number,
  column: number,
  overlap = 0,
): ObjectBox {
  const top = Math.max(0, row * tile[0] - overlap)
  const left = Math.max(0, column * tile[1] - overlap)
  const bottom = Math.min(size[0], (row + 1) * tile[0] + overlap)
  const right = Math.min(size[1], (column + 1) * tile[1] + overlap)
  return [top, left, bottom - top, right - left]
}
