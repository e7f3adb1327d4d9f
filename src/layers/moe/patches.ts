import * as tf from '@tensorflow/tfjs-core'
import { type Size2D, size2D } from '../../shapes.js'

/**
 * How a feature map of H x W pixels is cut into N patches of h x w, numbered row by row.
 */
export interface PatchGrid {
  /** H, W of the map, pixels. */
  readonly map: Size2D
  /** h, w of a patch, pixels. */
  readonly patch: Size2D
  /** Patches along the height and the width: H/h, W/w. */
  readonly cells: Size2D
  /** N, the number of patches. */
  readonly count: number
}

/**
 * Cuts a map into patches.
 *
 * @param map H, W in pixels
 * @param patch h, w in pixels; h divides H, w divides W
 * @param where the caller's name, for errors
 * @throws RangeError when a side of the map is not a positive integer, or the patch does not divide it
 */
export function patchGrid(
  map: readonly (number | null | undefined)[],
  patch: Size2D,
  where: string,
): PatchGrid {
  const [height, width] = size2D(map as number[], `${where}: the map's size`)
  if (height % patch[0] !== 0 || width % patch[1] !== 0) {
    throw new RangeError(
      `${where}: patchSize must divide the map, got ${patch[0]}x${patch[1]} (map ${height}x${width})`,
    )
  }
  const cells: Size2D = [height / patch[0], width / patch[1]]
  return { map: [height, width], patch, cells, count: cells[0] * cells[1] }
}

/**
 * The patches of a map as vectors.
 *
 * @param x (B,H,W,C) float32
 * @returns (B, N, h w C)
 */
export function patchVectors(x: tf.Tensor4D, { cells, patch, count }: PatchGrid): tf.Tensor3D {
  const [batch, , , channels] = x.shape
  const [[rows, columns], [height, width]] = [cells, patch]
  const inRows = tf.reshape(x, [batch, rows, height, columns, width * channels])
  // One patch in a row, or rows of one pixel: the numbers of a patch lie side by side already.
  const inPatches = columns === 1 || height === 1 ? inRows : tf.transpose(inRows, [0, 1, 3, 2, 4])
  return tf.reshape(inPatches, [batch, count, -1])
}

/**
 * Where the pixels of every patch lie, when the map is viewed as rows of `unit` neighbouring pixels.
 *
 * A window is the patch itself, grown on each side by `reach` pixels when an expert may see its neighbours. Pixels of
 * a window outside the map point at row 0 and are marked in `inside`.
 */
export interface WindowTable {
  readonly grid: PatchGrid
  /** Height and width of a window: h + 2 reach, w + 2 reach. */
  readonly window: Size2D
  /** Pixels that the window extends past the patch, above/below and left/right. */
  readonly reach: Size2D
  /** Pixels in one row of the view: w where windows are whole patches, else 1. */
  readonly unit: number
  /** Rows of the view that one image takes: H W / unit. */
  readonly rowsPerImage: number
  /** Rows of the view that one window takes, R. */
  readonly rowsPerWindow: number
  /** (N, R) row numbers within the image. */
  readonly rows: Int32Array
  /** (N, R) 1 inside the map, 0 outside; absent when every window lies inside. */
  readonly inside?: Float32Array
}

/**
 * Tabulates the windows of a grid.
 *
 * @param reach pixels past the patch on each side, [vertical, horizontal], at least 0
 * @param unit pixels a row of the view holds; w (the default without reach) or 1
 */
export function windowTable(grid: PatchGrid, reach: Size2D, unit?: number): WindowTable {
  const isPatchOnly = reach[0] === 0 && reach[1] === 0
  const pixels = unit ?? (isPatchOnly ? grid.patch[1] : 1)
  const window: Size2D = [grid.patch[0] + 2 * reach[0], grid.patch[1] + 2 * reach[1]]
  const unitsAcross = window[1] / pixels
  const rowsPerWindow = window[0] * unitsAcross
  const rows = new Int32Array(grid.count * rowsPerWindow)
  const inside = new Float32Array(grid.count * rowsPerWindow)
  const [height, width] = grid.map
  let index = 0
  for (let n = 0; n < grid.count; n++) {
    const top = Math.floor(n / grid.cells[1]) * grid.patch[0] - reach[0]
    const left = (n % grid.cells[1]) * grid.patch[1] - reach[1]
    for (let i = 0; i < window[0]; i++) {
      for (let j = 0; j < unitsAcross; j++, index++) {
        const y = top + i
        const x = left + j * pixels
        if (y < 0 || y >= height || x < 0 || x >= width) continue
        rows[index] = (y * width + x) / pixels
        inside[index] = 1
      }
    }
  }
  const table = {
    grid,
    window,
    reach,
    unit: pixels,
    rowsPerImage: (height * width) / pixels,
    rowsPerWindow,
    rows,
  }
  return isPatchOnly ? table : { ...table, inside }
}

/**
 * The patches themselves, without the neighbours around them.
 *
 * @param windows (K, M, window height, window width, C)
 * @returns (K, M, h, w, C)
 */
export function coreOf(windows: tf.Tensor5D, table: WindowTable): tf.Tensor5D {
  if (!table.inside) return windows
  return tf.slice(windows, [0, 0, ...table.reach, 0], [-1, -1, ...table.grid.patch, -1])
}

/** The inverse of {@link coreOf}, with zeros in place of the neighbours. */
export function withBorder(core: tf.Tensor5D, table: WindowTable): tf.Tensor5D {
  if (!table.inside) return core
  const [experts, kept, height, width, channels] = core.shape
  const [vertical, horizontal] = table.reach
  // As maps of four axes: no GPU backend of tfjs pads five.
  const padded = tf.pad(tf.reshape(core, [experts * kept, height, width, channels]), [
    [0, 0],
    [vertical, vertical],
    [horizontal, horizontal],
    [0, 0],
  ])
  return tf.reshape(padded, [experts, kept, ...table.window, channels])
}
