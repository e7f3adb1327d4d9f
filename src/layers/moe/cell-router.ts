import * as tfl from '@tensorflow/tfjs-layers'
import { deriveSeed } from '../../random.js'
import type { Size2D } from '../../shapes.js'
import { convolution } from '../convolution.js'
import { relu } from '../relu.js'
import { fanInUniform } from '../standard-options.js'

/** Channels of the convolutions of a router, first to last; more convolutions than these have as many as the last. */
const CHANNELS = [8, 8, 16] as const

/**
 * The router that cells have unless another is given: convolutions of 3x3 with ReLU, of 8, 8 and 16 channels, which make the view
 * smaller by 2 each until there is one pixel a cell, and a 1x1 convolution with weights of N(0, 0.01^2). The others start small,
 * U(-1, 1) / sqrt(fan-in): in one seed on digits of 8x8, He's larger ones kept less of what matters (0.59 against 0.68).
 *
 * There are at least three of them: where cells are smaller than 8x8 pixels of the view, the last ones keep the size. A side that
 * is no power of 2 is divided by its prime factors, with kernels of at least their size.
 *
 * @param viewShape h, w, C of the view, whole cells
 * @param cell height and width of a cell in pixels of the view
 * @returns a model from the view to (rows, columns, numExperts) scores
 */
export function cellRouter(
  viewShape: readonly number[],
  cell: Size2D,
  numExperts: number,
  seed: number | undefined,
): tfl.LayersModel {
  const input = tfl.input({ shape: [...viewShape], name: 'view' })
  const convolutions = stridesTo(cell).flatMap((strides, i) => {
    const kernelSize = [Math.max(3, strides[0]), Math.max(3, strides[1])] as const
    const fanIn = kernelSize[0] * kernelSize[1] * (i === 0 ? (viewShape[2] as number) : channelsOf(i - 1))
    const name = `conv${i + 1}`
    const initializer = (weight: string) =>
      fanInUniform(1, fanIn, seed === undefined ? undefined : deriveSeed(seed, `${name} ${weight}`))
    const layer = convolution({
      name,
      filters: channelsOf(i),
      kernelSize: [...kernelSize],
      strides: [...strides],
      padding: 'same',
      kernelInitializer: initializer('kernel'),
      biasInitializer: initializer('bias'),
    })
    return [layer, relu({ name: `relu${i + 1}` })]
  })
  const scores = tfl.layers.conv2d({
    name: 'scores',
    filters: numExperts,
    kernelSize: 1,
    kernelInitializer: tfl.initializers.randomNormal({
      mean: 0,
      stddev: 0.01,
      ...(seed === undefined ? {} : { seed: deriveSeed(seed, 'scores') }),
    }),
  })
  const output = [...convolutions, scores].reduce((x, layer) => layer.apply(x) as tfl.SymbolicTensor, input)
  return tfl.model({ inputs: input, outputs: output, name: 'router' })
}

function channelsOf(convolution: number): number {
  return CHANNELS[Math.min(convolution, CHANNELS.length - 1)] as number
}

/** Strides of at least three convolutions whose products are the sides of a cell. */
function stridesTo([height, width]: Size2D): readonly Size2D[] {
  const [rows, columns] = [primeFactors(height), primeFactors(width)]
  const count = Math.max(rows.length, columns.length, CHANNELS.length)
  return Array.from({ length: count }, (_, i): Size2D => [rows[i] ?? 1, columns[i] ?? 1])
}

/** Ascending. */
function primeFactors(value: number): readonly number[] {
  const factors: number[] = []
  let rest = value
  for (let factor = 2; rest > 1; factor++) {
    while (rest % factor === 0) {
      factors.push(factor)
      rest /= factor
    }
  }
  return factors
}
