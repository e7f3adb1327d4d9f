import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as tf from '@tensorflow/tfjs'
import sharp from 'sharp'
import { fileSystem } from '../../src/files/model-files.js'
import { wideResNet } from '../../src/models/wide-resnet.js'

/** A saved network of three classes that takes 16x16 RGB images, and images of other sizes as files. */
export async function smallModel(): Promise<{
  root: string
  model: tf.LayersModel
  folder: string
  images: string[]
}> {
  const root = await mkdtemp(join(tmpdir(), 'examples-'))
  const pmoe = { numExperts: 2, patchesPerExpert: 4, patchSize: 1 }
  const model = wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, pmoe, seed: 5 })
  model.setUserDefinedMetadata({ classNames: ['red', 'green', 'blue'] })
  const folder = join(root, 'model')
  await model.save(fileSystem(folder))
  const images = await Promise.all(
    Array.from({ length: 6 }, async (_, i) => {
      const pixels = Uint8Array.from({ length: 16 * 16 * 3 }, (_, j) => (j * (31 + 2 * i)) % 253)
      const path = join(root, `image-${i}.png`)
      await writeFile(
        path,
        await sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } })
          .png()
          .toBuffer(),
      )
      return path
    }),
  )
  return { root, model, folder, images }
}
