import type * as tfl from '@tensorflow/tfjs-layers'
import type { BackendChoice } from '../../../src/backend/choose.js'
import type { ImageStream } from '../../../src/data/image-stream.js'
import type { RegionStream } from '../../../src/data/regions/region-stream.js'
import { viewStream } from '../../../src/data/regions/views.js'
import type { RoutedModel } from '../../../src/models/routed-model.js'
import { wholeImageModel } from '../../../src/models/whole-image-model.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import type { LargeImagesTask, LargeImagesVariant } from '../../experiments/experiment.js'
import { buildRouted, type RoutedOptions } from '../../run/network.js'
import { newRun } from '../../run/new-run.js'
import { movedImages, type RegionData } from '../../run/run-data.js'
import type { Cell } from '../cell.js'
import type { LargeImagesGrid } from '../grids/large-images-grid.js'

/** A network with its initial weights, and the images that it reads. */
export type ReadingNetwork =
  | {
      readonly reads: 'patches'
      readonly model: RoutedModel
      readonly train: RegionStream
      readonly test: RegionStream
    }
  | {
      readonly reads: 'image' | 'view'
      readonly model: tfl.LayersModel
      readonly train: ImageStream
      readonly test: ImageStream
    }

/** The images of a cell, and how its network is trained. */
export interface TaskRun {
  readonly config: RunConfig
  /** Of a routed network on these images. */
  readonly routed: RoutedOptions
  readonly train: RegionStream
  readonly test: RegionStream
}

/**
 * Opens the images of a cell.
 *
 * @throws RangeError for a cell that the grid does not have; UsageError, RangeError or Error as `newRun`
 */
export async function taskRun(grid: LargeImagesGrid, cell: Cell, backend: BackendChoice): Promise<TaskRun> {
  const { dataset, flags, testSamples } = taskOf(grid, cell)
  const { steps, batchSize } = grid
  const { samples = 0, seed } = cell
  const { config, data } = await newRun(
    {
      dataset,
      model: 'routed',
      flags: {
        ...flags,
        ...variantOf(grid, cell).flags,
        samples,
        testSamples,
        batchSize,
        epochs: epochsOf(steps, samples, batchSize),
        seed,
      },
    },
    backend,
  )
  const { train, test } = data as RegionData
  return { config, routed: config.model.options as RoutedOptions, train, test }
}

/** Epochs that come nearest to a number of steps, at least 1. */
function epochsOf(steps: number, samples: number, batchSize: number): number {
  return Math.max(1, Math.round(steps / Math.ceil(samples / batchSize)))
}

function taskOf({ tasks }: LargeImagesGrid, { setting, index }: Cell): LargeImagesTask {
  const match = tasks.find(({ name }) => name === setting)
  if (match) return match
  const names = tasks.map(({ name }) => name).join('; ')
  throw new RangeError(`study: setting must be one of ${names}, got ${setting} (cell ${index})`)
}

/**
 * The network of a cell.
 *
 * @throws RangeError for one that the grid does not have
 */
export function variantOf(
  { variants }: Pick<LargeImagesGrid, 'variants'>,
  { variant, index }: Pick<Cell, 'variant' | 'index'>,
): LargeImagesVariant {
  const match = variants.find(({ name }) => name === variant)
  if (match) return match
  const names = variants.map(({ name }) => name).join('; ')
  throw new RangeError(`study: variant must be one of ${names}, got ${variant} (cell ${index})`)
}

/**
 * Builds a network on the current backend, and what it reads of the images: training images are moved alike for all networks.
 *
 * @throws RangeError, UsageError when the images do not fit the options
 */
export function readingNetwork(
  { config, routed, train, test }: TaskRun,
  reads: LargeImagesVariant['reads'],
): ReadingNetwork {
  const moved = movedImages(train, config, routed.viewScale)
  if (reads === 'patches') {
    return { reads, model: buildRouted(routed, train, config.seed), train: moved, test }
  }
  const scale = reads === 'image' ? 1 : routed.viewScale
  const seen = viewStream(moved, scale)
  const numClasses = train.classNames.length
  const model = wholeImageModel({ imageShape: seen.shape, numClasses, seed: config.seed })
  return { reads, model, train: seen, test: viewStream(test, scale) }
}
