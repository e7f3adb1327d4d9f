import { modelCost } from '../../../src/models/cost.js'
import { routedModel } from '../../../src/models/routed-model.js'
import type { Size2D } from '../../../src/shapes.js'
import { textTable } from '../../terminal/text-table.js'
import { percent } from '../../terminal/training-log.js'
import { expertLayersFor, patchOf } from './region-sizes.js'

/** A network that reads images in parts, and the images. */
export interface RegionPlanRequest {
  /** Height and width in pixels. */
  readonly imageSize: Size2D
  readonly cellSize: number | readonly [number, number]
  readonly viewScale: number
  readonly margin?: number
  readonly numExperts: number
  readonly patchesPerExpert: number
}

/** What it costs to look at one image, forward. */
export interface RegionPlan {
  readonly imageSize: Size2D
  /** Rows and columns. */
  readonly cells: Size2D
  /** Height and width of a patch in pixels. */
  readonly patch: Size2D
  readonly parameters: number
  /** Of the router and the kept patches; of the experts on the whole image; of the experts on the whole view. */
  readonly multiplyAdds: { readonly routed: number; readonly dense: number; readonly view: number }
}

/**
 * Counts what a network costs that reads RGB images in parts, against the same experts everywhere.
 *
 * @throws RangeError when the sizes do not fit together
 */
export function regionPlan({ imageSize, ...options }: RegionPlanRequest): RegionPlan {
  const expertLayers = expertLayersFor(patchOf(options))
  const network = { ...options, ...(expertLayers !== undefined && { expertLayers }) }
  const model = routedModel({ ...network, imageShape: [...imageSize, 3], numClasses: 2 })
  try {
    const { layers, parameters, multiplyAdds } = modelCost(model.model)
    const { dense, view } = layers.find(({ className }) => className === 'PatchExperts') ?? {}
    return {
      imageSize,
      cells: model.layer.grid.cells,
      patch: model.layer.grid.patch,
      parameters: parameters.total,
      multiplyAdds: {
        routed: multiplyAdds.forward,
        dense: dense?.multiplyAdds.forward ?? Number.NaN,
        view: view?.multiplyAdds.forward ?? Number.NaN,
      },
    }
  } finally {
    model.dispose()
  }
}

/** A plan as a sentence and a table for a person. */
export function regionPlanText(
  { imageSize, cells, patch, parameters, multiplyAdds }: RegionPlan,
  { numExperts, patchesPerExpert, viewScale }: RegionPlanRequest,
): string {
  const count = (value: number) => Math.round(value).toLocaleString('en-US')
  const row = (name: string, value: number) => [name, count(value), percent(value / multiplyAdds.dense)]
  const experts = numExperts === 1 ? '1 expert reads' : `Each of ${numExperts} experts reads`
  return [
    `${experts} ${patchesPerExpert} of ${count(cells[0] * cells[1])} patches of ${patch.join('x')} pixels of an image of ${imageSize.join('x')}, chosen on a view at 1/${viewScale}; ${count(parameters)} parameters.`,
    textTable(
      ['an image, forward', 'multiply-adds', 'of the first'],
      [
        row('experts on the whole image', multiplyAdds.dense),
        row('experts on the whole view', multiplyAdds.view),
        row('routed', multiplyAdds.routed),
      ],
    ),
  ].join('\n\n')
}
