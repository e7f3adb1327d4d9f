import type * as tfl from '@tensorflow/tfjs-layers'
import { valueDivisor, zerosLike } from '../../src/data/image-values.js'
import type { FeedingOptions } from '../../src/export/feeding.js'
import { samplesFolder } from '../../src/files/data-folder.js'
import { decodeImage } from '../../src/files/images/image-files.js'
import { random } from '../../src/random.js'
import type { ImageShape } from '../../src/shapes.js'
import type { Numbers, Runtime } from './export-formats/model-runtime.js'

/** How far outputs of an exported model may be from the model's own. */
export const TOLERANCE = 1e-4

/** How an export compares with the model. */
export interface Parity {
  readonly samples: number
  /** The largest difference of any output number. */
  readonly difference: number
  /** Samples whose largest output is a different one. */
  readonly otherClass: number
}

const PICTURES = 8

/**
 * The inputs that exports are compared on: for a model of images eight pictures of the package and eight of noise, for
 * others sixteen of noise in [0, 1). Each is whole numbers over 255.
 *
 * @returns for each input of the model (16, ...), bytes
 */
export async function comparisonBytes(model: tfl.LayersModel): Promise<Numbers[]> {
  return Promise.all(
    model.inputs.map(async ({ shape: [, ...sides] }, i) => {
      const size = sides.reduce<number>((product, side) => product * (side ?? 1), 1)
      const source = random(1, `export ${i}`)
      const data = Uint8Array.from({ length: 2 * PICTURES * size }, () => source.below(256))
      const [height, width, channels] = sides
      if (sides.length === 3 && (channels === 1 || channels === 3)) {
        const pictures = await packagePictures([height as number, width as number, channels])
        pictures.forEach((picture, at) => {
          data.set(picture, at * size)
        })
      }
      return { shape: [2 * PICTURES, ...(sides as number[])], data }
    }),
  )
}

/**
 * The inputs that exports of a model of floats are compared on.
 *
 * @returns for each input of the model (16, ...), float32 of N(0, 9), about as large as those of the datasets
 */
export function comparisonFloats({ inputs }: Pick<tfl.LayersModel, 'inputs'>): Numbers[] {
  return inputs.map(({ shape: [, ...sides] }, i) => {
    const size = sides.reduce<number>((product, side) => product * (side ?? 1), 1)
    const source = random(1, `export ${i}`)
    const data = Float32Array.from({ length: 2 * PICTURES * size }, () => 3 * source.normal())
    return { shape: [2 * PICTURES, ...(sides as number[])], data }
  })
}

function packagePictures(shape: ImageShape): Promise<Uint8Array[]> {
  const faces = samplesFolder('drawn-faces-celeba')
  return Promise.all(
    Array.from({ length: PICTURES }, async (_, i) => {
      const path = `img_align_celeba/${String(i + 1).padStart(6, '0')}.jpg`
      return decodeImage(await faces.read(path), { shape }, faces.describe(path))
    }),
  )
}

/** Inputs as the tfjs model takes them: bytes over 255, floats as they are. */
export function asFloats({ data, shape }: Numbers): Numbers {
  const divisor = valueDivisor(data)
  return { shape, data: Float32Array.from(data, value => Math.fround(value / divisor)) }
}

/** Inputs as the export takes them: in its order of axes, as bytes or as the model takes them. */
export function fed(input: Numbers, { layout = 'nhwc', pixels = 'float32' }: FeedingOptions): Numbers {
  if (input.shape.length !== 4) return asFloats(input)
  const ordered = layout === 'nchw' ? channelsFirst(input) : input
  return pixels === 'uint8' ? ordered : asFloats(ordered)
}

function channelsFirst({ data, shape }: Numbers): Numbers {
  const [count = 0, height = 0, width = 0, channels = 0] = shape
  const area = height * width
  const reordered = zerosLike(data, data.length)
  for (let i = 0; i < data.length; i++) {
    const pixel = Math.floor(i / channels)
    const image = Math.floor(pixel / area)
    reordered[(image * channels + (i % channels)) * area + (pixel % area)] = data[i] as number
  }
  return { shape: [count, channels, height, width], data: reordered }
}

/** The given number of samples of an input, which is repeated from its start as often as needed. */
export function repeated({ data, shape: [count = 1, ...sides] }: Numbers, samples: number): Numbers {
  const size = data.length / count
  const taken = zerosLike(data, samples * size)
  for (let i = 0; i < samples; i++)
    taken.set(data.subarray((i % count) * size, ((i % count) + 1) * size), i * size)
  return { shape: [samples, ...sides], data: taken }
}

/**
 * Runs a model and its export on the same inputs and compares every output.
 *
 * @param inputs of the model, bytes or floats
 */
export async function compare(
  original: Runtime,
  exported: Runtime,
  inputs: readonly Numbers[],
  feeding: FeedingOptions,
): Promise<Parity> {
  const expected = await original.run(inputs.map(asFloats))
  const actual = await exported.run(inputs.map(input => fed(input, feeding)))
  const samples = inputs[0]?.shape[0] ?? 0
  let difference = 0
  let otherClass = 0
  expected.forEach((values, output) => {
    const actualValues = actual[output] ?? new Float32Array()
    // A missing output counts as NaN, and Math.max of NaN and any number is NaN.
    const outputDifference = values.reduce(
      (largest, value, i) => Math.max(largest, Math.abs(value - (actualValues[i] ?? Number.NaN))),
      0,
    )
    difference = Math.max(difference, outputDifference)
    otherClass += differingRows(values, actualValues, samples)
  })
  return { samples, difference, otherClass }
}

function differingRows(left: Float32Array, right: Float32Array, rows: number): number {
  const width = left.length / rows
  let differing = 0
  for (let row = 0; row < rows; row++) {
    const [a, b] = [left, right].map(values => largest(values.subarray(row * width, (row + 1) * width)))
    if (a !== b) differing++
  }
  return differing
}

/** The position of the largest number. */
export function largest(values: Float32Array): number {
  return values.indexOf(Math.max(...values))
}
