import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tfl from '@tensorflow/tfjs-layers'
import sharp from 'sharp'
import { fileSystem } from '../../src/files/model-files.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { random } from '../../src/random.js'
import { train } from '../../src/train/loop.js'

/** Classes of the small pictures: the colour of a square somewhere on grey noise. */
export const colours = ['red', 'green', 'blue'] as const
/** Height, width and channels. */
export const shape = [16, 16, 3] as const

/** Pixels of one picture; the same for the same number. */
export function coloured(number: number): Uint8Array {
  const label = number % 3
  const source = random(7, `picture ${number}`)
  const pixels = Uint8Array.from({ length: 16 * 16 * 3 }, () => 90 + Math.floor(source.next() * 60))
  const [top, left] = [Math.floor(source.next() * 4) * 4, Math.floor(source.next() * 4) * 4]
  for (let y = top; y < top + 4; y++) {
    for (let x = left; x < left + 4; x++) {
      for (let channel = 0; channel < 3; channel++) {
        pixels[(y * 16 + x) * 3 + channel] = channel === label ? 250 : 10
      }
    }
  }
  return pixels
}

/** A small mixture that tells the colours apart somewhat: 4x4 patches, of which each of 2 experts keeps 2 of 16. */
export async function trainedMixture(seed = 1): Promise<tfl.LayersModel> {
  const input = tfl.input({ shape: [...shape], name: 'image' })
  const options = {
    numExperts: 2,
    patchesPerExpert: 2,
    patchSize: 4,
    filters: 8,
    kernelSize: 3,
    seed,
  } as const
  const map = patchMoE({ ...options, name: 'mixture' }).apply(input) as tfl.SymbolicTensor
  const active = tfl.layers.reLU({ name: 'active' }).apply(map)
  const mean = tfl.layers.globalAveragePooling2d({ name: 'mean' }).apply(active)
  const dense = tfl.layers.dense({
    units: 3,
    name: 'logits',
    kernelInitializer: tfl.initializers.glorotNormal({ seed }),
  })
  const model = tfl.model({ inputs: input, outputs: dense.apply(mean) as tfl.SymbolicTensor, name: 'small' })
  model.setUserDefinedMetadata({ classNames: [...colours] })
  const count = 48
  const images = new Uint8Array(count * 768)
  for (let i = 0; i < count; i++) images.set(coloured(i), i * 768)
  const set = {
    images,
    labels: Int32Array.from({ length: count }, (_, i) => i % 3),
    count,
    shape,
    classNames: colours,
  }
  const optimizer = { name: 'adam', learningRate: 0.03 } as const
  for await (const _ of train(model, { train: set, epochs: 12, batchSize: 12, seed: 1, optimizer })) {
    // Only the weights are wanted.
  }
  return model
}

/** A saved mixture, and pictures in folders of their classes. */
export interface SmallFiles {
  readonly root: string
  readonly model: tfl.LayersModel
  readonly modelFolder: string
  readonly images: string
  /** Paths within `images`, in the order in which the explorer lists them. */
  readonly names: readonly string[]
}

/** Trains a mixture and writes it, with 9 pictures that it was not trained on, into a new folder. */
export async function smallFiles(): Promise<SmallFiles> {
  const root = await mkdtemp(join(tmpdir(), 'explorer-'))
  const model = await trainedMixture()
  const modelFolder = join(root, 'model')
  await model.save(fileSystem(modelFolder))
  const images = join(root, 'images')
  const names = []
  for (const [label, colour] of colours.entries()) {
    await mkdir(join(images, colour), { recursive: true })
    for (let i = 0; i < 3; i++) {
      const name = `${colour}/${i}.png`
      const raw = { width: 16, height: 16, channels: 3 } as const
      const picture = sharp(coloured(pictureNumber(label, i)), { raw })
      await writeFile(join(images, name), await picture.png().toBuffer())
      names.push(name)
    }
  }
  return { root, model, modelFolder, images, names: names.sort() }
}

/** Which picture a file of {@link smallFiles} is. */
export function pictureNumber(label: number, i: number): number {
  return 300 + 3 * i + label
}
