import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import sharp, { type Sharp } from 'sharp'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { arraySource } from '../../src/data/regions/array-source.js'
import { regionStream } from '../../src/data/regions/region-records.js'
import type { RegionSource } from '../../src/data/regions/region-source.js'
import { regionsInThread } from '../../src/files/regions/reading-thread.js'
import { random } from '../../src/random.js'
import { type Feed, feedOf } from '../../src/train/feed.js'
import { takeStep } from '../../src/train/step.js'
import { alternate } from '../alternate.js'
import type { RegionFilesJob } from '../jobs.js'
import { adamSteps, routedNetwork } from './routed.js'

/** Kinds of files; tiles are JPEG, as scanners of slides write them. */
const formats: Readonly<Record<string, (image: Sharp) => Sharp>> = {
  JPEG: image => image.jpeg({ quality: 90 }),
  PNG: image => image.png({ compressionLevel: 6 }),
  'tiled TIFF': image =>
    image.tiff({ tile: true, tileWidth: 256, tileHeight: 256, compression: 'jpeg', quality: 90 }),
  'tiled TIFF, with smaller pages': image =>
    image.tiff({
      ...{ tile: true, tileWidth: 256, tileHeight: 256, compression: 'jpeg', quality: 90 },
      pyramid: true,
    }),
}

/**
 * Times passes of training of a routed model over files of one kind each, by the name of the kind, and `in memory`; and of each the
 * time that it waited for views and regions: `... waiting`. Fact: `images`.
 */
export async function measureRegionFiles(job: RegionFilesJob): Promise<Omit<ChildReport, 'software'>> {
  const folder = await mkdtemp(join(tmpdir(), 'patch-moe-regions-'))
  try {
    const { size, images } = job
    const pixels = photograph(size)
    const image = sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
    const opens: Record<string, () => Promise<RegionSource>> = {
      'in memory': async () => arraySource(pixels, [size, size, 3]),
    }
    const open = regionsInThread(folder)
    for (const [i, [format, write]] of Object.entries(formats).entries()) {
      const path = join(folder, `${i}`)
      await write(image.clone()).toFile(path)
      opens[format] = () => open(`${i}`)
    }
    const train = trainer(job)
    const waits: Record<string, number[]> = {}
    const contestants = Object.entries(opens).map(([name, open]) => {
      waits[name] = []
      return { name, run: async () => void waits[name]?.push(await train(open)) }
    })
    const seconds = await alternate(contestants, job)
    const waiting = Object.entries(waits).map(([name, list]) => [`${name} waiting`, list.slice(job.warmUp)])
    return { seconds: { ...seconds, ...Object.fromEntries(waiting) }, facts: { images } }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Something that takes as much to decode as a photograph: soft noise. */
function photograph(size: number): Uint8Array {
  const chance = random(1, 'image')
  const coarse = Float64Array.from({ length: (size + 2) ** 2 * 3 }, () => chance.next())
  const pixels = new Uint8Array(size * size * 3)
  for (let y = 0; y < size; y++) {
    for (let i = 0; i < size * 3; i++) {
      const at = (y * (size + 2) * 3 + i) as number
      const below = at + (size + 2) * 3
      const sum = coarse[at]! + coarse[at + 3]! + coarse[below]! + coarse[below + 3]!
      pixels[y * size * 3 + i] = Math.floor(64 * sum)
    }
  }
  return pixels
}

/** Trains one model, a pass at a time; returns the seconds that a pass waited. */
function trainer(job: RegionFilesJob) {
  const { images: count, batch, classes, size } = job
  const routed = routedNetwork(job)
  const parts = adamSteps(routed.model)
  return async (open: () => Promise<RegionSource>): Promise<number> => {
    const clock = new WaitingClock()
    const stream = regionStream({
      count,
      shape: [size, size, 3],
      labels: Int32Array.from({ length: count }, (_, i) => i % classes),
      classNames: Array.from({ length: classes }, (_, label) => `class ${label}`),
      name: position => `image ${position}`,
      open: async () => timed(await open(), clock),
    })
    await pass(feedOf(routed, stream), parts, batch, clock)
    return clock.seconds
  }
}

async function pass(
  feed: Feed,
  parts: Parameters<typeof takeStep>[0],
  batchSize: number,
  clock: WaitingClock,
) {
  const batches = feed.batches({ batchSize })[Symbol.asyncIterator]()
  for (;;) {
    const { value: batch, done } = await clock.during(() => batches.next())
    if (done || !batch) return
    const { tensors } = await batch.inputs('step')
    await takeStep(parts, { inputs: tensors, labels: batch.labels })
    tf.dispose([...tensors])
  }
}

/** A source whose regions are waited for; views are read ahead, where nobody waits until they are asked for. */
function timed(source: RegionSource, clock: WaitingClock): RegionSource {
  return { ...source, regions: boxes => clock.during(() => source.regions(boxes)) }
}

/** Time in which something is waited for, however many wait at once. */
class WaitingClock {
  seconds = 0
  private waiting = 0
  private since = 0

  async during<T>(work: () => Promise<T>): Promise<T> {
    if (this.waiting++ === 0) this.since = performance.now()
    try {
      return await work()
    } finally {
      if (--this.waiting === 0) this.seconds += (performance.now() - this.since) / 1000
    }
  }
}
