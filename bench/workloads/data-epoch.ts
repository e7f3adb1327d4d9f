import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import type { ImageDataset } from '../../src/data/datasets/dataset.js'
import type { ImageBatch, ImageSet } from '../../src/data/image-set.js'
import { type ImageStream, streamOf } from '../../src/data/image-stream.js'
import { dataFolder } from '../../src/files/data-folder.js'
import { prepareDataset } from '../../src/files/prepared/prepare.js'
import { openPrepared } from '../../src/files/prepared/prepared-set.js'
import { random } from '../../src/random.js'
import { alternate } from '../alternate.js'
import type { EpochJob } from '../jobs.js'
import {
  buildNetwork,
  disposeBatch,
  type FixedBatch,
  noiseBatch,
  trainingStep,
  uploaded,
} from '../network.js'

/**
 * Times an epoch of a WRN over the same prepared images, `in memory`, `streamed` and `streamed ahead` by a worker
 * thread (shuffled in windows, varied by flip and pad-and-crop), and, for each, the time that the loop waited for its
 * first batch and for all others: `... first` and `... waiting`. For comparison it times as many steps on `a fixed
 * batch`, which needs no waiting. Facts: `images`, `batches` of an epoch.
 */
export async function measureEpoch(job: EpochJob): Promise<Omit<ChildReport, 'software'>> {
  const directory = await mkdtemp(join(tmpdir(), 'patch-moe-epoch-'))
  try {
    await prepareDataset({
      entry: noiseDataset(job),
      source: dataFolder(directory),
      options: { seed: 1 },
      decode: () => Promise.reject(new Error('noise needs no decoding')),
      directory,
    })
    const step = trainingStep(buildNetwork('wrn', job))
    const readings = {
      'in memory': {},
      streamed: { memoryLimit: 0, prefetch: 0 },
      'streamed ahead': { memoryLimit: 0, prefetch: 4 },
    }
    const waits: Record<string, number[]> = {}
    const contestants = await Promise.all(
      Object.entries(readings).map(async ([name, reading]) => {
        const augment = { flip: true, padCrop: 4, seed: 1 }
        const { train } = await openPrepared(directory, {
          ...reading,
          augment,
          shuffleWindow: job.shuffleWindow,
        })
        const [first, others] = [`${name} first`, `${name} waiting`]
        waits[first] = []
        waits[others] = []
        let epoch = -job.warmUp
        const run = async () => {
          const waited = await runEpoch(streamOf(train), epoch++, job.batch, step)
          if (epoch <= 0) return
          waits[first]?.push(waited.first)
          waits[others]?.push(waited.others)
        }
        return { name, run }
      }),
    )
    const sizes = batchSizes(job)
    const fixed = new Map(sizes.map(size => [size, noiseBatch(job, size)]))
    const onFixed = async () => {
      for (const size of sizes) await step(fixed.get(size) as FixedBatch)
    }
    const seconds = await alternate([{ name: 'a fixed batch', run: onFixed }, ...contestants], job)
    return { seconds: { ...seconds, ...waits }, facts: { images: job.images, batches: sizes.length } }
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Trains an epoch; the seconds that it waited for its first batch, and for the others together. */
export async function runEpoch(
  stream: ImageStream,
  epoch: number,
  batchSize: number,
  step: ReturnType<typeof trainingStep>,
): Promise<{ first: number; others: number }> {
  const pass = stream.batches({ batchSize, shuffle: { seed: 1, epoch } })[Symbol.asyncIterator]()
  const waits: number[] = []
  for (;;) {
    const start = performance.now()
    const { value, done } = (await pass.next()) as IteratorResult<ImageBatch, undefined>
    waits.push((performance.now() - start) / 1000)
    if (done || !value) break
    const batch = uploaded(value, stream.shape)
    await step(batch)
    disposeBatch(batch)
  }
  const [first = 0, ...others] = waits
  return { first, others: others.reduce((sum, wait) => sum + wait, 0) }
}

/** How many images each batch of an epoch has. */
function batchSizes({ images, batch }: EpochJob): number[] {
  const batches = Math.ceil(images / batch)
  return Array.from({ length: batches }, (_, i) => Math.min(batch, images - i * batch))
}

/** Images of noise. */
export function noiseImages({ size, classes }: Pick<EpochJob, 'size' | 'classes'>, images: number): ImageSet {
  const chance = random(1, 'images')
  return {
    images: Uint8Array.from({ length: images * size * size * 3 }, () => chance.below(256)),
    labels: Int32Array.from({ length: images }, (_, i) => i % classes),
    count: images,
    shape: [size, size, 3],
    classNames: Array.from({ length: classes }, (_, label) => `class ${label}`),
  }
}

function noiseDataset(job: EpochJob): ImageDataset {
  const { images: count, classes } = job
  const dataset = { name: 'noise', train: noiseImages(job, count), test: noiseImages(job, classes) }
  return {
    name: 'noise',
    title: 'Noise',
    source: 'folder',
    description: 'Noise.',
    licence: 'none',
    homepage: '',
    defaultSamples: count,
    load: async () => dataset,
  }
}
