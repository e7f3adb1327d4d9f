import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { type ImageShape, type Size2D, viewSize } from '../../shapes.js'
import { withoutGradient } from '../hand-gradient.js'
import { type CellGrid, cutPatches } from './cells.js'
import { type PatchExpertsSettings, WHERE } from './patch-experts-options.js'

/** The image that the shapes of a layer's inputs belong to: with a view alone, as many pixels as its pixels stand for. */
export function inputSizes(
  inputShape: tfl.Shape | tfl.Shape[],
  { viewScale }: PatchExpertsSettings,
): { readonly image: Size2D; readonly channels: number } {
  const shapes = (Array.isArray(inputShape[0]) ? inputShape : [inputShape]) as tfl.Shape[]
  const [first, second] = shapes
  if (shapes.length > 3) {
    throw new TypeError(
      `${WHERE}: input must be an image, a view and an image, or a view, patches and indices, got ${shapes.length} tensors`,
    )
  }
  const [height, width, channels] = mapShape(first as tfl.Shape, shapes.length === 1 ? 'image' : 'view')
  if (shapes.length === 1) return { image: [height, width], channels }
  if (shapes.length === 3) return { image: [height * viewScale, width * viewScale], channels }
  const image = mapShape(second as tfl.Shape, 'image')
  const expected = [...viewSize([image[0], image[1]], viewScale), image[2]]
  if (expected.some((side, axis) => side !== [height, width, channels][axis])) {
    throw new RangeError(
      `${WHERE}: view must be of shape (${expected.join(', ')}), that of the image at 1/${viewScale}, got (${height}, ${width}, ${channels}) ` +
        `(image of ${image.join('x')})`,
    )
  }
  return { image: [image[0], image[1]], channels }
}

function mapShape([, ...map]: tfl.Shape, what: string): [height: number, width: number, channels: number] {
  if (map.length === 3 && map.every(side => Number.isInteger(side) && (side as number) >= 1)) {
    return map as [number, number, number]
  }
  throw new RangeError(
    `${WHERE}: ${what} must be of known height, width and channels, got shape (${['batch', ...map.map(side => side ?? 'null')].join(', ')})`,
  )
}

/** What given patches have to fit. */
interface PatchSizes {
  readonly numExperts: number
  readonly patchesPerExpert: number
  /** Height, width and channels of a patch. */
  readonly patchShape: ImageShape
}

/**
 * Checks patches and indices that are given as inputs.
 *
 * @throws RangeError when they are of another shape
 */
export function checkCut(inputShape: tfl.Shape | tfl.Shape[], sizes: PatchSizes): void {
  if (!Array.isArray(inputShape[0]) || inputShape.length !== 3) return
  const [, patches, indices] = inputShape as tfl.Shape[]
  const { numExperts, patchesPerExpert, patchShape } = sizes
  const chosen = [numExperts, patchesPerExpert]
  const expected = { patches: [...chosen, ...patchShape], indices: chosen }
  for (const [name, shape] of Object.entries({ patches, indices })) {
    const own = (shape ?? []).slice(1).join(', ')
    const wanted = expected[name as keyof typeof expected].join(', ')
    if (own === wanted) continue
    throw new RangeError(`${WHERE}: ${name} must be of shape (batch, ${wanted}), got (batch, ${own})`)
  }
}

/**
 * Patches that are given, as the networks take them.
 *
 * @param patches (B,K,L,p,q,C)
 * @param expert whose patches; those of all unless given
 * @returns (B L, p, q, C) of an expert, or (B K L, p, q, C) of all
 */
export function givenPatches(
  patches: tf.Tensor,
  { numExperts, patchShape }: PatchSizes,
  expert: number | undefined,
): tf.Tensor4D {
  return withoutGradient(() => {
    const shape: [number, number, number, number] = [-1, ...patchShape]
    if (expert === undefined || numExperts === 1) return tf.reshape(patches, shape)
    const byExpert = tf.reshape(patches, [patches.shape[0] ?? -1, numExperts, -1])
    return tf.reshape(tf.slice(byExpert, [0, expert, 0], [-1, 1, -1]), shape)
  })
}

/**
 * Patches that are cut out of images, as the networks take them; see `givenPatches`.
 *
 * @param image (B,H,W,C)
 * @param indices (B,K,L) int32, the kept cells
 */
export function imagePatches(
  image: tf.Tensor4D,
  indices: tf.Tensor3D,
  grid: CellGrid,
  expert: number | undefined,
): tf.Tensor4D {
  return withoutGradient(() => {
    const own = expert === undefined ? indices : tf.slice(indices, [0, expert, 0], [-1, 1, -1])
    return cutPatches(image, tf.reshape(own, [indices.shape[0], -1]), grid)
  })
}
