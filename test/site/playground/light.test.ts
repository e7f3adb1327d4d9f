import { describe, expect, it } from 'vitest'
import type { Look } from '../../../site/playground/protocol.js'
import { lightOf } from '../../../site/playground/views/light.js'

/** Two experts that keep two of four patches of two images. */
const look: Look = {
  epoch: 1,
  grid: [2, 2],
  numExperts: 2,
  patchesPerExpert: 2,
  // image 0: expert 0 keeps 1 and 3, expert 1 keeps 3 and 0; image 1: 2 and 0, 0 and 1
  indices: Int32Array.of(1, 3, 3, 0, 2, 0, 0, 1),
  // gates of any scale: shares .5, .5 and 1, 0; then 0, 0 (all alike) and .75, .25
  gates: Float32Array.of(1, 1, 4, 0, 0, 0, 0.75, 0.25),
  predicted: { dense: Int32Array.of(0, 0), mixture: Int32Array.of(0, 1) },
}

const lit = (share: number) => 0.3 + 0.7 * Math.sqrt(share)

describe('the light on patches', () => {
  it('is 0 where nobody looks, and grows with the share of the gates', () => {
    const light = lightOf(look, 0)
    // patch 3: the larger of .5 and 1
    for (const [patch, value] of [lit(0), lit(0.5), 0, 1].entries()) expect(light[patch]).toBeCloseTo(value)
    const second = lightOf(look, 1)
    for (const [patch, value] of [lit(0.75), lit(0.25), lit(0.5), 0].entries())
      expect(second[patch]).toBeCloseTo(value)
  })

  it('is that of one expert alone', () => {
    const light = lightOf(look, 0, 1)
    for (const [patch, value] of [lit(0), 0, 0, 1].entries()) expect(light[patch]).toBeCloseTo(value)
  })
})
