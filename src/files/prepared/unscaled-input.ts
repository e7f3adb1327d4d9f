import type { DataSource } from '../../data/data-source.js'
import type { DatasetOptions, ImageDataset } from '../../data/datasets/dataset.js'
import type { RegionSource } from '../../data/regions/region-source.js'
import type { RegionBatch, RegionStream } from '../../data/regions/region-stream.js'
import type { InputHalf, PrepareInput } from './prepare-input.js'

/** Images whose headers are read at a time. */
const headersAtOnce = 64

/**
 * Finds the images of a dataset that keep their size, in the order whose beginnings are the smaller sets: what `prepareInput` is for
 * images of one size. What is around smaller images is what their views show there.
 *
 * @param options.openRegions opens image files
 * @throws RangeError for a dataset that cannot be read in parts; what the dataset throws
 */
export async function unscaledInput(
  entry: ImageDataset,
  source: DataSource,
  options: DatasetOptions,
): Promise<PrepareInput> {
  if (!entry.regions) {
    throw new RangeError(
      `prepareDataset: unscaled images must be of a dataset that can be read in parts, got ${entry.name}`,
    )
  }
  const { train, validation, test, notes = [], unreadable = [] } = await entry.regions(source, options)
  const { shape, classNames, groupNames } = train
  return {
    shape,
    classNames,
    ...(groupNames && { groupNames }),
    train: await halfOf(train),
    ...(validation && { validation: await halfOf(validation) }),
    test: await halfOf(test),
    notes,
    unreadable,
  }
}

async function halfOf(stream: RegionStream): Promise<InputHalf> {
  const { count } = stream
  const labels = new Int32Array(count)
  const groups = new Int32Array(count)
  let [first, hasGroups] = [0, false]
  for await (const batch of stream.batches({ batchSize: headersAtOnce })) {
    labels.set(batch.labels, first)
    if (batch.groups) groups.set(batch.groups, first)
    hasGroups = batch.groups !== undefined
    first += batch.count
    await Promise.all(batch.sources.map(source => source.close?.()))
  }
  return {
    count,
    labels,
    ...(hasGroups && { groups }),
    name: position => `image ${position}`,
    async pixels(position) {
      const source = await sourceAt(stream, position)
      try {
        // The view at full size also has what is around an image that is smaller than the canvas.
        return await source.view(1)
      } finally {
        await source.close?.()
      }
    },
  }
}

async function sourceAt({ batches }: RegionStream, position: number): Promise<RegionSource> {
  for await (const { sources } of batches({ batchSize: 1, start: position, end: position + 1 })) {
    return (sources as RegionBatch['sources'])[0] as RegionSource
  }
  throw new RangeError(`prepareDataset: stream must have image ${position}, got none`)
}
