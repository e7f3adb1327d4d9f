import type { NetworkDescription, PatchDescription } from '../../../src/explore/description.js'
import { SEES_ALL } from '../../../src/explore/sees-all.js'
import { percent } from '../elements.js'

/** Whether patches are computed from about the whole picture, so that their places say nothing of it. */
export function seesAll({ sight }: PatchDescription): boolean {
  return sight !== undefined && sight.share >= SEES_ALL
}

/** What a patch is and what it is computed from, in words. */
export function sightText({ patches, input }: NetworkDescription): string {
  if (!patches) return ''
  const { grid, sight, areOfImage } = patches
  if (areOfImage) {
    return 'The network reads the outlined parts at full resolution, and of the rest a small view. Line widths are gates.'
  }
  const chosen = `Each expert chooses among ${grid[0]}×${grid[1]} patches of a map within the network.`
  if (!sight)
    return `${chosen} What of the picture a patch is computed from is not known. Line widths are gates.`
  if (seesAll(patches)) {
    return `${chosen} Each of them is computed from the whole picture, so that no squares are drawn: the numbers below say which patches were kept.`
  }
  const [height, width] = sight.pixels.map((side, axis) => Math.min(side, input[axis] ?? side))
  return `${chosen} A patch is computed from up to ${height}×${width} of the ${input[0]}×${input[1]} pixels around its square, ${percent(sight.share)} of the picture on average. Line widths are gates.`
}
