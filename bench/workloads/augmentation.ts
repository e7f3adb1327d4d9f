import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { presetVariations } from '../../src/data/augmentation/presets.js'
import { streamOf } from '../../src/data/image-stream.js'
import { augmentedAhead } from '../../src/files/augmentation/augmented-ahead.js'
import { alternate } from '../alternate.js'
import type { AugmentationJob } from '../jobs.js'
import { buildNetwork, trainingStep } from '../network.js'
import { noiseImages, runEpoch } from './data-epoch.js'

/**
 * Times an epoch of a WRN over images in memory: as they are (`none`), varied by `light` and `strong` in a worker thread ahead
 * of their use, and by light `between steps`; and for each the time that the loop waited for its batches: `... waiting`.
 */
export async function measureAugmentation(job: AugmentationJob): Promise<Omit<ChildReport, 'software'>> {
  const set = noiseImages(job, job.images)
  const step = trainingStep(buildNetwork('wrn', job))
  const varied = (name: 'none' | 'light' | 'strong', workers: number) =>
    augmentedAhead(streamOf(set), { ...presetVariations(name).variations, seed: 1 }, { workers })
  const streams = {
    none: varied('none', 0),
    light: varied('light', 1),
    strong: varied('strong', 1),
    'light between steps': varied('light', 0),
  }
  const waits: Record<string, number[]> = {}
  const contestants = Object.entries(streams).map(([name, stream]) => {
    const waiting: number[] = []
    waits[`${name} waiting`] = waiting
    let epoch = -job.warmUp
    const run = async () => {
      const { first, others } = await runEpoch(stream, Math.abs(epoch++), job.batch, step)
      if (epoch > 0) waiting.push(first + others)
    }
    return { name, run }
  })
  const seconds = await alternate(contestants, job)
  return {
    seconds: { ...seconds, ...waits },
    facts: { images: job.images, batches: Math.ceil(job.images / job.batch) },
  }
}
