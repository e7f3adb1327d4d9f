import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { BackendChoice } from '../../../src/backend/choose.js'
import type { RegionSource } from '../../../src/data/regions/region-source.js'
import type { RegionObjects } from '../../../src/data/regions/region-stream.js'
import { cellGrid, patchBoxes } from '../../../src/layers/moe/cells.js'
import { namedPrior, priorOfCells } from '../../../src/layers/moe/priors.js'
import { pixelTensor } from '../../../src/layers/pixels.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import type { RoutedModel } from '../../../src/models/routed-model.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import { size2D, viewSize } from '../../../src/shapes.js'
import { networkOf } from '../../../src/train/feed.js'
import type { Cell } from '../cell.js'
import type { CellCheckpoints } from '../cell-checkpoints.js'
import type { Localised } from '../cell-result.js'
import type { LocaliseGrid } from '../grids/large-images-grid.js'
import { trainNetwork } from '../large-images/large-images-cell.js'
import {
  type ReadingNetwork,
  readingNetwork,
  type TaskRun,
  taskRun,
  variantOf,
} from '../large-images/task-run.js'
import { centreOf, type Hit, hit, meanHit, type Point, strongest } from './pointing-game.js'
import { gradCam, occlusion } from './saliency.js'
import { storedNetwork } from './stored-network.js'

/** What a cell is run with. */
export interface LocaliseWork {
  readonly backend: BackendChoice
  /** Folder of a study `megapixel` whose trained networks are judged; null trains them. */
  readonly trained: string | null
  readonly checkpoints: CellCheckpoints
  /** Ends the cell, with the signal's reason as the error. */
  readonly signal: AbortSignal
  /** Stores the configuration of the cell before it is trained. */
  keepConfig(run: RunConfig): Promise<void>
}

/**
 * Trains the network of a cell, or takes it from the study that trained it, and judges where it looks.
 *
 * @throws Error when the other study has no such network; UsageError, RangeError or Error as `newRun`; the reason of the signal
 *   when it was aborted
 */
export async function localiseWith(
  grid: LocaliseGrid,
  cell: Cell,
  { backend, trained, checkpoints, signal, keepConfig }: LocaliseWork,
): Promise<Localised> {
  const run = await taskRun(grid, cell, backend)
  await keepConfig(run.config)
  const network = readingNetwork(run, variantOf(grid, cell).reads)
  try {
    const { testAccuracy } =
      trained === null
        ? await trainNetwork(network, run, { checkpoints, signal })
        : await storedNetwork(trained, grid, cell, networkOf(network.model))
    return { testAccuracy, ...(await judged(network, run, grid.images, signal)) }
  } finally {
    disposeModel(networkOf(network.model))
  }
}

/** An image with something to be found, opened. */
interface JudgedImage {
  readonly source: RegionSource
  readonly label: number
  readonly objects: RegionObjects
}

async function judged(
  network: ReadingNetwork,
  run: TaskRun,
  images: number,
  signal: AbortSignal,
): Promise<Omit<Localised, 'testAccuracy'>> {
  const methods =
    network.reads === 'patches' ? routedMethods(network.model) : denseMethods(network.model, run)
  const [side] = size2D(run.routed.cellSize, 'study: cellSize')
  const hits = new Map<string, Hit[]>(Object.keys(methods).map(method => [method, []]))
  let judgedImages = 0
  for await (const { sources, labels, objects } of run.test.batches({ batchSize: 1 })) {
    signal.throwIfAborted()
    const [source, things] = [sources[0], objects?.[0]]
    if (!source || !things?.relevant.includes(1)) continue
    const image = { source, label: labels[0] as number, objects: things }
    for (const [method, pointsOf] of Object.entries(methods)) {
      const ofImage = (await pointsOf(image)).map(point => hit(point, things, side / 2))
      hits.get(method)?.push(meanHit(ofImage))
    }
    await source.close?.()
    if (++judgedImages === images) break
  }
  return {
    images: judgedImages,
    pointing: [...hits].map(([method, ofImages]) => ({ method, ...meanHit(ofImages) })),
  }
}

/** Points of an image that a method finds the strongest; where there are several, they count alike. */
type Method = (image: JudgedImage) => Promise<readonly Point[]>

/** Methods of a network on the whole image, at the resolution of cells. */
function denseMethods(model: tfl.LayersModel, { routed, test }: TaskRun): Record<string, Method> {
  const { shape } = test
  const { cellSize, margin } = routed
  const cell = size2D(cellSize, 'study: cellSize')
  const sizes = { cell, margin: margin ?? Math.floor(Math.min(...cell) / 4), viewScale: routed.viewScale }
  const grid = cellGrid([shape[0], shape[1]], sizes, 'study')
  const windows = { map: grid.cells, boxes: patchBoxes(grid) }
  const explained = async ({ source, label }: JudgedImage) => ({
    pixels: await source.view(1),
    shape,
    label,
  })
  const point = ({ values, map }: Awaited<ReturnType<typeof gradCam>>): Point[] => [
    centreOf(strongest(values), map, [shape[0], shape[1]]),
  ]
  return {
    'dense: Grad-CAM': async image => point(await gradCam(model, 'relu3', await explained(image))),
    'dense: occlusion': async image => point(await occlusion(model, await explained(image), windows)),
  }
}

/** Methods of a routed network, and what its prior and chance alone would point at. */
function routedMethods(model: RoutedModel): Record<string, Method> {
  const { layer, imageShape, viewScale } = model
  const { numExperts, patchesPerExpert, grid } = layer
  const boxes = patchBoxes(grid)
  const centre = (cell: number): Point => {
    const [top = 0, left = 0, height = 0, width = 0] = boxes.subarray(4 * cell, 4 * cell + 4)
    return [top + height / 2, left + width / 2]
  }
  const name = numExperts === 1 ? 'routed, K = 1' : `routed, K = ${numExperts}`
  const own: Record<string, Method> = {
    [`${name}: largest gate`]: async ({ source }) => {
      const { indices, gates } = await model.route([source])
      return [centre(indices[strongest(gates)] as number)]
    },
    [`${name}: highest score`]: async ({ source }) => {
      const { indices } = await model.route([source])
      // The best of each expert comes first.
      return Array.from({ length: numExperts }, (_, k) => centre(indices[k * patchesPerExpert] as number))
    },
  }
  if (numExperts > 1) return own
  return {
    ...own,
    'contrast alone': async ({ source }) => {
      const view = await source.view(viewScale)
      return [centre(strongest(await contrastOf(view)))]
    },
    'any cell': async () => Array.from({ length: grid.count }, (_, cell) => centre(cell)),
  }

  async function contrastOf(view: Uint8Array): Promise<Float32Array> {
    const [height, width, channels] = imageShape
    const prior = namedPrior('contrast')
    if (!prior) throw new Error('study: prior must be known, got none named contrast')
    const values = tf.tidy(() => {
      const pixels = pixelTensor(view, [1, ...viewSize([height, width], viewScale), channels])
      return priorOfCells(prior, pixels as tf.Tensor4D, grid, 'study')
    })
    const numbers = (await values.data<'float32'>()).slice()
    values.dispose()
    return numbers
  }
}
