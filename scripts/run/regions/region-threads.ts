import { preferThreads } from '../../../src/backend/threads.js'
import { datasets } from '../../../src/data/datasets/datasets.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import { size2D } from '../../../src/shapes.js'
import type { TrainState } from '../../../src/train/checkpoint.js'

/**
 * The largest cell, in pixels, whose patches one thread computes as fast as two: a step of 8 images with 10 patches of each took 44 ms
 * with one and 43 to 51 with two at cells of 64, and 204 and 129 ms at cells of 128.
 */
const mostOfOneThread = 64

type CellSize = number | readonly [number, number]

/** What is known of a training before its images are. */
interface ComingTraining {
  readonly model: string
  readonly dataset: string
  /** Side of a cell that is asked for, or height and width. */
  readonly cellSize?: unknown
}

/**
 * Lets native TensorFlow compute with one thread where the patches of a training are known to be too small to be shared out, unless the
 * user has said how many. It must be called before the backend is loaded.
 */
export function preferThreadsFor({ model, dataset, cellSize }: ComingTraining): void {
  if (model !== 'routed') return
  const { recipe } = datasets.find(({ name }) => name === dataset) ?? {}
  preferThreadsForCells((cellSize as CellSize | undefined) ?? recipe?.routed?.cellSize)
}

/**
 * As {@link preferThreadsFor}, for a run that goes on: with the threads that it was computed with, since others would round its numbers in
 * other places.
 */
export function preferThreadsOf(
  { model: { options } }: Pick<RunConfig, 'model'>,
  state: Pick<TrainState, 'computation'> | undefined,
): void {
  if (options.kind !== 'routed') return
  const { backend, threads } = state?.computation ?? {}
  if (!state) preferThreadsForCells(options.cellSize)
  else if (backend === 'tensorflow' && threads !== undefined) preferThreads(threads)
}

function preferThreadsForCells(cellSize: CellSize | undefined): void {
  if (cellSize === undefined) return
  if (Math.max(...size2D(cellSize, 'train: cellSize')) <= mostOfOneThread) preferThreads(1)
}
