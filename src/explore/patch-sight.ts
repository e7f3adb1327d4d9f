import { patchField, receptiveField } from '../explain/receptive-field.js'
import type { RoutingLayers } from '../layers/moe/routing-layers.js'
import type { Size2D } from '../shapes.js'
import type { PatchSight } from './description.js'

/**
 * What the patches of a network's map are computed from.
 *
 * @param input height and width of its image
 * @returns undefined where a layer before them is not known
 */
export function patchSight({ layers: [layer], grid }: RoutingLayers, input: Size2D): PatchSight | undefined {
  const tensor = layer?.inboundNodes[0]?.inputTensors[0]
  const field = tensor && receptiveField(tensor)
  if (!layer || !field) return undefined
  const pixels = patchField(field, layer.patchSize)
  const range = (axis: 0 | 1, part: number): readonly [number, number] => {
    const from = field.low[axis] + part * layer.patchSize[axis] * field.step[axis]
    const within = (pixel: number) => Math.min(input[axis], Math.max(0, pixel)) / input[axis]
    return [within(from), within(from + pixels[axis])]
  }
  const boxes = Array.from({ length: grid[0] * grid[1] }, (_, patch) => {
    const [top, bottom] = range(0, Math.floor(patch / grid[1]))
    const [left, right] = range(1, patch % grid[1])
    return [top, left, bottom, right]
  })
  const areas = boxes.map(([top = 0, left = 0, bottom = 0, right = 0]) => (bottom - top) * (right - left))
  return { pixels, boxes, share: areas.reduce((sum, area) => sum + area, 0) / areas.length }
}
