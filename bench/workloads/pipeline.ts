import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { batches, epochOrder } from '../../src/data/batches.js'
import { fashionQuadrants } from '../../src/data/datasets/fashion-quadrants.js'
import type { ImageBatch, ImageSet } from '../../src/data/image-set.js'
import { samplesFolder } from '../../src/files/data-folder.js'
import { random } from '../../src/random.js'
import { alternate } from '../alternate.js'
import type { PipelineJob } from '../jobs.js'
import { buildNetwork, disposeBatch, noiseBatch, trainingStep, uploaded } from '../network.js'

/**
 * Times `compose` (load the samples and compose quadrant images), `batches` (shuffled batches of a large set),
 * `uploaded batches` (those on the backend, scaled), `step on a fixed batch` and `step on fresh batches` (make, upload
 * and train, one after the other). Facts: `composed` images, `batches` of one timed run.
 */
export async function measurePipeline(job: PipelineJob): Promise<Omit<ChildReport, 'software'>> {
  const set = noiseImages(job)
  const source = endlessBatches(set, job.batch)
  const step = trainingStep(buildNetwork('wrn-pmoe', job))
  const fixed = noiseBatch(job, job.batch)
  const times = (action: () => void) => () => {
    for (let made = 0; made < job.batchesTimed; made++) action()
  }
  const contestants = [
    { name: 'compose', run: () => compose(job.composed) },
    { name: 'batches', run: times(() => void source.next()) },
    { name: 'uploaded batches', run: times(() => disposeBatch(uploaded(source.next().value, set.shape))) },
    { name: 'step on a fixed batch', run: async () => void (await step(fixed)) },
    {
      name: 'step on fresh batches',
      run: async () => {
        const batch = uploaded(source.next().value, set.shape)
        await step(batch)
        disposeBatch(batch)
      },
    },
  ]
  const seconds = await alternate(contestants, job)
  return { seconds, facts: { composed: job.composed, batches: job.batchesTimed } }
}

async function compose(samples: number): Promise<void> {
  const source = samplesFolder('fashion-mini')
  await fashionQuadrants.load(source, { samples, testSamples: 1, seed: 1 })
}

function noiseImages({ images: count, size, classes }: PipelineJob): ImageSet {
  const chance = random(1, 'images')
  return {
    images: Uint8Array.from({ length: count * size * size * 3 }, () => chance.below(256)),
    labels: Int32Array.from({ length: count }, () => chance.below(classes)),
    count,
    shape: [size, size, 3],
    classNames: Array.from({ length: classes }, (_, label) => `class ${label}`),
  }
}

function* endlessBatches(set: ImageSet, batchSize: number): Generator<ImageBatch, never, undefined> {
  // Without the smaller batch at an epoch's end, so that every batch costs the same.
  const whole = set.count - (set.count % batchSize)
  for (let epoch = 0; ; epoch++) {
    yield* batches(set, { batchSize, order: epochOrder(set.count, 1, epoch).subarray(0, whole) })
  }
}
