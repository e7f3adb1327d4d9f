import type { Look } from '../protocol.js'

/** How much of a patch is veiled that no expert keeps, in [0, 1]. */
export const VEIL = 0.7
/** The share of the light that a kept patch has at any gate. */
const FLOOR = 0.3

/**
 * How brightly the patches of an image are lit: 0 where no expert keeps one, 1 where one expert gives all of its gates to it.
 *
 * @param image its position on the wall
 * @param expert whose patches are lit; all unless given
 * @returns (rows * columns)
 */
export function lightOf(look: Look, image: number, expert?: number): Float32Array {
  const { grid, numExperts: K, patchesPerExpert: L, indices, gates } = look
  const light = new Float32Array(grid ? grid[0] * grid[1] : 0)
  const experts = expert === undefined ? Array.from({ length: K }, (_, s) => s) : [expert]
  for (const s of experts) {
    const first = (image * K + s) * L
    const own = gates.subarray(first, first + L)
    const sum = own.reduce((total, gate) => total + gate, 0)
    for (let slot = 0; slot < L; slot++) {
      const share = sum > 0 ? (own[slot] as number) / sum : 1 / L
      const patch = indices[first + slot] as number
      light[patch] = Math.max(light[patch] as number, FLOOR + (1 - FLOOR) * Math.sqrt(share))
    }
  }
  return light
}
