import sharp from 'sharp'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { dataFolder, samplesFolder } from '../../src/files/data-folder.js'
import { decodeImage } from '../../src/files/images/image-files.js'
import { alternate } from '../alternate.js'
import type { DecodingJob } from '../jobs.js'

/** Where the faces lie in the folder of their samples. */
export const facesFolder = 'img_align_celeba'

/** The folder of the drawn faces, 178x218 in JPEG, that the package ships. */
export function facesPath(): string {
  return samplesFolder('drawn-faces-celeba').describe(facesFolder)
}

/**
 * Times `decode` (JPEG files of 178x218 in memory to 64x64 RGB, one after the other), `sharp` (the same by sharp alone)
 * and `sharp, 4 in flight`. Fact: `images` of one timed run.
 */
export async function measureDecoding(job: DecodingJob): Promise<Omit<ChildReport, 'software'>> {
  const files = await readFaces()
  const at = (i: number): Uint8Array => files[i % files.length] as Uint8Array
  const side = job.side
  const decodeOwn = (i: number) => decodeImage(at(i), { shape: [side, side, 3] }, String(i))
  const decodeBySharp = (i: number) =>
    sharp(at(i)).resize(side, side, { fit: 'fill', kernel: 'linear' }).raw().toBuffer()
  const seconds = await alternate(
    [
      { name: 'decode', run: () => each(job.images, 1, decodeOwn) },
      { name: 'sharp', run: () => each(job.images, 1, decodeBySharp) },
      { name: 'sharp, 4 in flight', run: () => each(job.images, 4, decodeBySharp) },
    ],
    job,
  )
  return { seconds, facts: { images: job.images } }
}

async function readFaces(): Promise<Uint8Array[]> {
  const source = dataFolder(facesPath())
  const names = (await source.list('')).filter(name => name.endsWith('.jpg'))
  return Promise.all(names.map(name => source.read(name)))
}

async function each(count: number, inFlight: number, action: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await action(next++)
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
}
