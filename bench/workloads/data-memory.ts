import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import type { ImageDataset } from '../../src/data/datasets/dataset.js'
import { dataFolder } from '../../src/files/data-folder.js'
import { decodeImage } from '../../src/files/images/image-files.js'
import { orderedWork } from '../../src/files/prepared/ordered-work.js'
import { prepareDataset } from '../../src/files/prepared/prepare.js'
import { random } from '../../src/random.js'
import type { MemoryJob } from '../jobs.js'

const [width, height] = [178, 218]
const testImages = 100

/**
 * Times preparing JPEG files of CelebA's size at 64x64: `prepare`. Facts: `images`, `peak bytes` of the process, `bytes
 * at the start`, and `bytes after N images` at ten moments.
 */
export async function measureMemory({ images }: MemoryJob): Promise<Omit<ChildReport, 'software'>> {
  const faces = await facesFolder(images)
  const directory = await mkdtemp(join(tmpdir(), 'patch-moe-prepared-'))
  const facts: Record<string, number> = { images, 'bytes at the start': process.memoryUsage.rss() }
  const start = performance.now()
  try {
    await prepareDataset({
      entry: catalogOf(faces, images),
      source: dataFolder(faces),
      options: { seed: 1 },
      decode: decodeImage,
      directory,
      onProgress({ done }) {
        if (done % Math.ceil(images / 10) === 0)
          facts[`bytes after ${done} images`] = process.memoryUsage.rss()
      },
    })
    const seconds = (performance.now() - start) / 1000
    return {
      seconds: { prepare: [seconds] },
      facts: { ...facts, 'peak bytes': process.resourceUsage().maxRSS * 1024 },
    }
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** The generated images, the first of them as test images too; the two classes alternate. */
function catalogOf(folder: string, images: number): ImageDataset {
  const half = (count: number) => ({
    count,
    labels: Int32Array.from({ length: count }, (_, i) => i % 2),
    name: nameOf,
    encoded: async (position: number) => new Uint8Array(await readFile(join(folder, nameOf(position)))),
  })
  return {
    name: 'generated-faces',
    title: 'Generated faces',
    source: 'folder',
    description: 'Blurred noise of the size of CelebA.',
    licence: 'none',
    homepage: '',
    defaultSamples: images,
    catalog: async () => ({
      train: half(images),
      test: half(Math.min(images, testImages)),
      classNames: ['even', 'odd'],
      decoding: { shape: [64, 64, 3] },
    }),
    load: () => Promise.reject(new Error('generated-faces: images must be prepared, got a call to load')),
  }
}

/** Generates images once, in a temporary folder that stays. */
async function facesFolder(count: number): Promise<string> {
  const folder = join(tmpdir(), `patch-moe-bench-faces-${count}`)
  if (existsSync(folder)) return folder
  const making = `${folder}.${process.pid}`
  await mkdir(making)
  const chance = random(1, 'faces')
  const written = orderedWork(count, 4 * availableParallelism(), async position => {
    const noise = Uint8Array.from({ length: 22 * 27 * 3 }, () => chance.below(256))
    const face = `<svg viewBox="0 0 178 218" width="${width}" height="${height}"><ellipse cx="${70 + chance.below(40)}" cy="${90 + chance.below(40)}" rx="45" ry="60" fill="hsl(${chance.below(60)} 50% 65%)"/></svg>`
    await sharp(noise, { raw: { width: 22, height: 27, channels: 3 } })
      .resize(width, height, { fit: 'fill' })
      .composite([{ input: Buffer.from(face) }])
      .jpeg({ quality: 90 })
      .toFile(join(making, nameOf(position)))
  })
  for await (const _ of written);
  await rename(making, folder)
  return folder
}

function nameOf(position: number): string {
  return `${String(position + 1).padStart(6, '0')}.jpg`
}
