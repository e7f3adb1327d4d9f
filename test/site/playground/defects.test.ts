import { expect, it } from 'vitest'
import { drawDefects } from '../../../site/playground/worker/defects.js'

it('draws cloth of which every second one has a scratch in its box', () => {
  const side = 64
  const set = drawDefects(40, side, 5)
  expect(set.shape).toEqual([side, side, 1])
  expect(drawDefects(10, side, 5).images).toEqual(set.images.subarray(0, 10 * side * side))
  expect(drawDefects(10, side, 6).images).not.toEqual(set.images.subarray(0, 10 * side * side))
  for (let i = 0; i < set.count; i++) {
    expect(set.labels[i]).toBe(i % 2)
    const [top, left, height, width] = set.objectBox.subarray(4 * i, 4 * i + 4) as unknown as number[]
    expect(height).toBe(i % 2 === 1 ? 14 : 0)
    expect(top! >= 0 && left! >= 0 && top! + height! <= side && left! + width! <= side).toBe(true)
  }
})
