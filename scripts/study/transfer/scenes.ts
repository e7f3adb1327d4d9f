import { loadBackgrounds } from '../../../src/data/compose/backgrounds.js'
import {
  allocateImages,
  type Canvas,
  type ImagePool,
  paste,
  targetTurns,
} from '../../../src/data/compose/composing.js'
import { greyToRgb } from '../../../src/data/compose/resample.js'
import { resizePixels } from '../../../src/data/compose/resize.js'
import { articles } from '../../../src/data/datasets/fashion.js'
import { loadIdx } from '../../../src/data/formats/idx.js'
import { imagesOfClass, type PixelSet } from '../../../src/data/image-set.js'
import { samplesFolder } from '../../../src/files/data-folder.js'
import { decodeImage } from '../../../src/files/images/image-files.js'
import { type Random, random } from '../../../src/random.js'

/** What scenes are made of. */
export interface SceneParts {
  /** Things, as RGB. */
  readonly things: PixelSet
  /** What lies behind them. */
  readonly backgrounds: ImagePool
}

/** What a scene shows. */
export interface SceneOptions extends SceneParts {
  /** Classes of the things that are to be recognised; the label is the position in this list. */
  readonly targets: readonly number[]
  /** Classes that lie about besides; none leaves the background alone. */
  readonly distractors: readonly number[]
  /** Of the image's area that the object fills, in (0, 1]. */
  readonly share: number
  /** Height and width of the scene in pixels. */
  readonly side: number
  readonly count: number
  /** The same seed gives the same bytes; fewer scenes are the first of more. */
  readonly seed: number
}

/** Loads the things and backgrounds of the package, those for training and those for tests. */
export async function loadSceneParts(): Promise<{ train: SceneParts; test: SceneParts }> {
  const fashion = samplesFolder('fashion-mini')
  const plants = await loadBackgrounds('transfer', {
    backgrounds: samplesFolder('plants32'),
    decode: decodeImage,
  })
  const half = async (name: 'train' | 't10k', backgrounds: ImagePool): Promise<SceneParts> => ({
    things: greyToRgb(await loadIdx(fashion, name, articles)),
    backgrounds,
  })
  return { train: await half('train', plants.train), test: await half('t10k', plants.test) }
}

/** The side in pixels of an object that fills a share of a square image. */
export function objectSide(share: number, side: number): number {
  return Math.max(1, Math.round(side * Math.sqrt(share)))
}

/**
 * Composes scenes: four background tiles, on them things of other classes that would cover half of what the object leaves free,
 * and the object over all of them at any place. All things of a scene have the object's size.
 *
 * @returns RGB, with `objectBox`
 */
export function composeScenes(options: SceneOptions): PixelSet {
  const { things, targets, distractors, share, side, count, seed } = options
  const objectPixels = objectSide(share, side)
  const others = distractors.flatMap(label => [...imagesOfClass(things, label)])
  const numOthers = others.length === 0 ? 0 : Math.round((0.5 * (1 - share)) / share)
  const turnOf = targetTurns(things, targets, seed)
  const chance = random(seed, 'scenes')
  const imageBytes = side * side * 3
  const images = allocateImages('composeScenes', count, imageBytes)
  const labels = new Int32Array(count)
  const objectBox = new Int32Array(4 * count)
  for (let i = 0; i < count; i++) {
    const { label, source } = turnOf(i)
    const canvas = { images: images.subarray(i * imageBytes, (i + 1) * imageBytes), rowBytes: side * 3 }
    tile(options, canvas, chance)
    for (let other = 0; other < numOthers; other++) {
      const position = others[chance.below(others.length)] as number
      place(resized(things, position, objectPixels), canvas, side, chance)
    }
    const [top, left] = place(resized(things, source, objectPixels), canvas, side, chance)
    labels[i] = label
    objectBox.set([top, left, objectPixels, objectPixels], 4 * i)
  }
  const classNames = targets.map(target => things.classNames[target] as string)
  return { images, labels, count, shape: [side, side, 3], classNames, objectBox }
}

/** Lays four tiles, each of half the scene's side. */
function tile({ backgrounds, side }: SceneOptions, canvas: Canvas, chance: Random): void {
  const half = Math.ceil(side / 2)
  for (const top of [0, side - half]) {
    for (const left of [0, side - half]) {
      const position = chance.below(backgrounds.count)
      paste(resized(backgrounds, position, half), 0, canvas, top * canvas.rowBytes + left * 3)
    }
  }
}

function place(thing: ImagePool, canvas: Canvas, side: number, chance: Random): [top: number, left: number] {
  const free = side - thing.shape[0] + 1
  const [top, left] = [chance.below(free), chance.below(free)]
  paste(thing, 0, canvas, top * canvas.rowBytes + left * 3)
  return [top, left]
}

/** One image of a pool, at another size. */
function resized({ images, shape }: ImagePool, position: number, side: number): ImagePool {
  const bytes = shape[0] * shape[1] * shape[2]
  const pixels = images.subarray(position * bytes, (position + 1) * bytes) as Uint8Array
  return { images: resizePixels(pixels, shape, [side, side]), count: 1, shape: [side, side, 3] }
}
