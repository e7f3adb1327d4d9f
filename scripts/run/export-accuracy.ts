import type { ImageSet } from '../../src/data/image-set.js'
import { type ImageStream, streamOf } from '../../src/data/image-stream.js'
import type { FeedingOptions } from '../../src/export/feeding.js'
import type { Runtime } from './export-formats/model-runtime.js'
import { asFloats, fed, largest } from './export-parity.js'

/** How many test images a model and its export put into the right class. */
export interface ExportAccuracy {
  /** Images that both were asked. */
  readonly images: number
  /** Share that the model was right about, in [0, 1]. */
  readonly model: number
  /** Share that the export was right about. */
  readonly exported: number
  /** Share for which both named the same class. */
  readonly agreement: number
}

const MOST_IMAGES = 1000
const BATCH = 64

/** Asks a classifier and its export for the classes of test images, the first thousand at most. */
export async function exportAccuracy(
  original: Runtime,
  exported: Runtime,
  test: ImageSet | ImageStream,
  feeding: FeedingOptions,
  signal: AbortSignal,
): Promise<ExportAccuracy> {
  const tally = { images: 0, model: 0, exported: 0, agreement: 0 }
  for await (const { images, labels, count } of streamOf(test).batches({ batchSize: BATCH })) {
    signal.throwIfAborted()
    const input = { data: images, shape: [count, ...test.shape] }
    const [expected] = await original.run([asFloats(input)])
    const [actual] = await exported.run([fed(input, feeding)])
    const [own, other] = [expected, actual].map(outputs => classesOf(outputs ?? new Float32Array(), count))
    labels.forEach((label, i) => {
      tally.model += Number(own?.[i] === label)
      tally.exported += Number(other?.[i] === label)
      tally.agreement += Number(own?.[i] === other?.[i])
    })
    tally.images += count
    if (tally.images >= MOST_IMAGES) break
  }
  const share = (count: number) => count / tally.images
  return {
    images: tally.images,
    model: share(tally.model),
    exported: share(tally.exported),
    agreement: share(tally.agreement),
  }
}

/** The largest of several outputs; of one logit, whether it is above 0. */
function classesOf(outputs: Float32Array, count: number): number[] {
  const width = outputs.length / count
  return Array.from({ length: count }, (_, i) => {
    const row = outputs.subarray(i * width, (i + 1) * width)
    return width === 1 ? Number((row[0] as number) > 0) : largest(row)
  })
}
