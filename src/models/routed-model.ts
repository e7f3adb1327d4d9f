import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { RegionSource } from '../data/regions/region-source.js'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { patchBoxes } from '../layers/moe/cells.js'
import type { NetworkFactory } from '../layers/moe/network-experts.js'
import { PatchExperts, patchExperts } from '../layers/moe/patch-experts.js'
import { type PatchExpertsOptions, patchRoutingOptions } from '../layers/moe/patch-experts-options.js'
import { pixelTensor, rememberBytes } from '../layers/pixels.js'
import { positiveInteger } from '../layers/validation.js'
import { deriveSeed } from '../random.js'
import { type ImageShape, shapeSize, viewSize } from '../shapes.js'
import { classifier } from './classifier.js'
import { type ExpertPixels, smallExpert } from './small-expert.js'

/** Options of {@link routedModel}; see `PatchExperts` for those it passes on. */
export interface RoutedModelOptions extends Pick<PatchExpertsOptions, keyof typeof patchRoutingOptions> {
  /** Height, width and channels of an image. */
  readonly imageShape: ImageShape
  /** 1 gives one logit (its sign is the class), more a softmax. */
  readonly numClasses: number
  /** Default a `smallExpert`: convolutions of 3x3 and stride 2 with ReLU, and the mean over the map. */
  readonly expert?: NetworkFactory
  /** Convolutions of the default expert, in [1, 8]; default 3. */
  readonly expertLayers?: number
  /** How the default expert takes pixels: 'zero-to-one' (default), or 'centred', from -2 to 2. */
  readonly expertPixels?: ExpertPixels
  /** Makes logits, (numClasses), of the experts' output (D) or (K D). Default a dense layer. */
  readonly head?: (features: tfl.SymbolicTensor) => tfl.SymbolicTensor
  /** Seed of all initializers; default 0. */
  readonly seed?: number
}

const WHERE = 'routedModel'

const optionNames = {
  imageShape: true,
  numClasses: true,
  expert: true,
  expertLayers: true,
  expertPixels: true,
  head: true,
  seed: true,
  ...patchRoutingOptions,
} as const satisfies OptionNames<RoutedModelOptions>

/** Which patches a model keeps of images, copied to memory; best first. */
export interface SourceRoute {
  /** (B,K,L) cells. */
  readonly indices: Int32Array
  /** (B,K,L) what multiplies the expert's output on each kept patch. */
  readonly gates: Float32Array
  /** (B,K,L,4) top, left, height and width in pixels; they may reach past the image. */
  readonly boxes: Int32Array
}

/**
 * A classifier of large images of which no tensor ever holds a whole one: a small view chooses patches, which are cut out of the
 * image where it is stored. What is on the device is the view and K L patches of each image of a batch, whatever its size.
 *
 * `train` and `evaluate` take it in the place of a network, with streams of images that are read in parts.
 */
export class RoutedModel {
  /** The network from views, patches and indices to classes: what is trained, saved and restored. */
  readonly model: tfl.LayersModel
  /** Its layer that chooses patches and computes them. */
  readonly layer: PatchExperts
  /** Height, width and channels of an image. */
  readonly imageShape: ImageShape
  private readonly boxes: Int32Array

  /**
   * @param model from the three inputs of a `PatchExperts`, as `routedModel` makes it; one that was saved and loaded as well
   * @throws RangeError when it is not such a model, or not for images of this shape
   */
  constructor(model: tfl.LayersModel, imageShape: ImageShape) {
    const layer = model.layers.find(candidate => candidate instanceof PatchExperts)
    if (!layer || model.inputs.length !== 3) {
      throw new RangeError(
        `${WHERE}: model must have a PatchExperts and the inputs view, patches and indices, got ${model.inputs.length} inputs ` +
          `and ${layer ? 'one' : 'none'}`,
      )
    }
    const [height, width, channels] = imageShape
    const view = [...viewSize([height, width], layer.options.viewScale), channels]
    const own = (model.inputs[0]?.shape ?? []).slice(1)
    if (own.join() !== view.join()) {
      throw new RangeError(
        `${WHERE}: imageShape must be that of the model's view, ${own.join('x')} at 1/${layer.options.viewScale}, ` +
          `got [${imageShape.join(', ')}]`,
      )
    }
    this.model = model
    this.layer = layer
    this.imageShape = [height, width, channels]
    this.boxes = patchBoxes(layer.grid)
  }

  /** Pixels of an image that one pixel of the view stands for, along each side. */
  get viewScale(): number {
    return this.layer.options.viewScale
  }

  /**
   * Chooses patches of images in inference, and cuts them out.
   *
   * @param views of each image, where they were read already
   * @param use 'step' where a step of training comes next: the router's forward pass is then kept for it
   * @returns the inputs of the network, disposed by the caller; the boxes (B K L, 4) of the patches, and how many of these are
   *   blank: all pixels of a channel within 5 of 255 of each other
   * @throws RangeError when an image is of another shape than the model's, or a source returns too few pixels
   */
  async regionInputs(sources: readonly RegionSource[], views?: readonly Uint8Array[], use?: 'step') {
    for (const source of sources) this.checkSource(source)
    const { viewScale, layer, imageShape } = this
    const bytes = views ?? (await Promise.all(sources.map(source => source.view(viewScale))))
    const [height, width, channels] = imageShape
    const size = [...viewSize([height, width], viewScale), channels] as const
    const all = joined(bytes, shapeSize(size), 'view')
    const view = rememberBytes(pixelTensor(all, [sources.length, ...size]) as tf.Tensor4D, all)
    try {
      const indices = await layer.choose(view, use === 'step')
      const boxes = this.boxesOf(indices)
      const perImage = boxes.length / sources.length
      const cut = await Promise.all(
        sources.map((source, i) => source.regions(boxes.slice(i * perImage, (i + 1) * perImage))),
      )
      const { patchShape, numExperts, patchesPerExpert } = layer
      const chosen = [sources.length, numExperts, patchesPerExpert] as const
      const patchBytes = joined(cut, (perImage / 4) * shapeSize(patchShape), 'regions')
      const patches = pixelTensor(patchBytes, [...chosen, ...patchShape])
      const numbers = tf.tensor3d(indices, [...chosen], 'int32')
      const kept = { boxes, blank: blankPatches(patchBytes, shapeSize(patchShape), channels) }
      return { tensors: [view, patches, numbers] as const, kept }
    } catch (error) {
      view.dispose()
      throw error
    }
  }

  /**
   * The same network from whole images, with the same weights: for images that fit into memory, and for export, where only the kept
   * patches are computed as well.
   *
   * @returns a model from (B,H,W,C) float32 in [0, 1] to classes
   */
  imageModel(): tfl.LayersModel {
    const image = tfl.input({ shape: [...this.imageShape], name: 'image' })
    const known = new Map<number, tfl.SymbolicTensor>()
    const again = (tensor: tfl.SymbolicTensor): tfl.SymbolicTensor => {
      const earlier = known.get(tensor.id)
      if (earlier) return earlier
      const isExperts = tensor.sourceLayer === this.layer
      const inputs = isExperts ? [image] : tensor.inputs.map(again)
      const output = tensor.sourceLayer.apply(
        inputs.length === 1 ? (inputs[0] as tfl.SymbolicTensor) : inputs,
      )
      known.set(tensor.id, output as tfl.SymbolicTensor)
      return output as tfl.SymbolicTensor
    }
    const outputs = this.model.outputs.map(again)
    return tfl.model({ inputs: image, outputs, name: this.model.name })
  }

  private checkSource({ height, width, channels }: RegionSource): void {
    if ([height, width, channels].join() === this.imageShape.join()) return
    throw new RangeError(
      `${WHERE}: images must be of shape [${this.imageShape.join(', ')}], got [${height}, ${width}, ${channels}]`,
    )
  }

  /** (count, 4) of cells. */
  private boxesOf(cells: Int32Array): Int32Array {
    const boxes = new Int32Array(4 * cells.length)
    for (const [i, cell] of cells.entries()) boxes.set(this.boxes.subarray(4 * cell, 4 * cell + 4), 4 * i)
    return boxes
  }

  /**
   * Which patches are kept of images, with which gates.
   *
   * @throws RangeError as `regionInputs`
   */
  async route(sources: readonly RegionSource[]): Promise<SourceRoute> {
    const { tensors, kept } = await this.regionInputs(sources)
    const [view, patches, indices] = tensors
    const gates = tf.tidy(() => this.layer.route(view, () => patches).gates)
    try {
      const [numbers, weights] = await Promise.all([indices.data<'int32'>(), gates.data<'float32'>()])
      return { indices: numbers.slice(), gates: weights.slice(), boxes: kept.boxes }
    } finally {
      tf.dispose([...tensors, gates])
    }
  }

  /**
   * What the network says of images.
   *
   * @returns for each image the probabilities of the classes; for a model of one logit [1 - p, p]
   * @throws RangeError as `regionInputs`
   */
  async predict(sources: readonly RegionSource[]): Promise<Float32Array[]> {
    const { tensors } = await this.regionInputs(sources)
    const outputs = tf.tidy(() => {
      const values = this.model.predict([...tensors]) as tf.Tensor2D
      if (values.shape[1] !== 1) return values
      return tf.concat([tf.sigmoid(tf.neg(values)), tf.sigmoid(values)], 1)
    })
    try {
      const values = await outputs.data<'float32'>()
      const classes = outputs.shape[1] as number
      return sources.map((_, i) => values.slice(i * classes, (i + 1) * classes))
    } finally {
      tf.dispose([...tensors, outputs])
    }
  }

  /** Frees the network's weights. */
  dispose(): void {
    this.model.dispose()
  }
}

/**
 * A classifier of large images in which what matters is small: `PatchExperts` on a view, patches and their indices, and a head.
 *
 * @throws RangeError, TypeError for options out of their range, as `PatchExperts`
 */
export function routedModel(options: RoutedModelOptions): RoutedModel {
  checkOptionNames(WHERE, options, optionNames)
  const { imageShape, numClasses, expert, expertLayers, expertPixels, head, seed = 0, ...chosen } = options
  const ofDefault = {
    ...(expertLayers !== undefined && { expertLayers }),
    ...(expertPixels !== undefined && { expertPixels }),
  }
  const [given] = Object.keys(ofDefault)
  if (expert && given !== undefined) {
    throw new TypeError(`${WHERE}: ${given} must be left out with an expert of its own, got both`)
  }
  positiveInteger(numClasses, `${WHERE}: numClasses`)
  const shape = checkedShape(imageShape)
  const layer = patchExperts({
    ...chosen,
    expert:
      expert ?? ((patchShape, k) => smallExpert(patchShape, deriveSeed(seed, `expert ${k}`), ofDefault)),
    seed: deriveSeed(seed, 'patch-experts'),
    name: 'experts',
  })
  const inputs = cutInputs(layer, shape)
  const features = layer.apply([...inputs]) as tfl.SymbolicTensor
  const logits = head ? head(features) : denseHead(features, numClasses, deriveSeed(seed, 'logits'))
  if (logits.shape.length !== 2 || logits.shape[1] !== numClasses) {
    throw new RangeError(
      `${WHERE}: head must return ${numClasses} logits for each image, got shape (${logits.shape.slice(1).join(', ')})`,
    )
  }
  return new RoutedModel(classifier([...inputs], logits, 'routed'), shape)
}

function checkedShape(shape: ImageShape): ImageShape {
  const isShape = Array.isArray(shape) && shape.length === 3
  if (!isShape) {
    throw new RangeError(
      `${WHERE}: imageShape must be height, width and channels of an image, got ${JSON.stringify(shape)}`,
    )
  }
  for (const side of shape) positiveInteger(side, `${WHERE}: each side of imageShape`)
  return shape
}

/** View, patches and indices, the inputs of a layer that gets them cut. */
function cutInputs(layer: PatchExperts, [height, width, channels]: ImageShape) {
  const { viewScale, cell, margin } = layer.options
  const chosen = [layer.numExperts, layer.patchesPerExpert]
  const sides = [cell[0] + 2 * margin, cell[1] + 2 * margin]
  // The layer knows the size of the view alone, which may stand for more pixels than the image has.
  layer.checkImage([height, width])
  return [
    tfl.input({ shape: [...viewSize([height, width], viewScale), channels], name: 'view' }),
    tfl.input({ shape: [...chosen, ...sides, channels], name: 'patches' }),
    tfl.input({ shape: chosen, dtype: 'int32', name: 'indices' }),
  ] as const
}

/** The logits of a routed model, unless it is given another head. */
export function denseHead(features: tfl.SymbolicTensor, units: number, seed: number): tfl.SymbolicTensor {
  const kernelInitializer = tfl.initializers.glorotUniform({ seed })
  return tfl.layers.dense({ name: 'logits', units, kernelInitializer }).apply(features) as tfl.SymbolicTensor
}

/** Pixels of several images one after the other. */
function joined(parts: readonly Uint8Array[], perImage: number, what: string): Uint8Array {
  const all = new Uint8Array(parts.length * perImage)
  for (const [i, part] of parts.entries()) {
    if (part.length !== perImage) {
      throw new RangeError(
        `${WHERE}: ${what} of an image must be ${perImage} bytes, got ${part.length} (image ${i})`,
      )
    }
    all.set(part, i * perImage)
  }
  return all
}

/** A patch is blank where the pixels of each channel are within this of each other. */
const BLANK_RANGE = 5

function blankPatches(bytes: Uint8Array, perPatch: number, channels: number): number {
  let blank = 0
  for (let first = 0; first < bytes.length; first += perPatch) {
    if (isBlank(bytes.subarray(first, first + perPatch), channels)) blank++
  }
  return blank
}

function isBlank(patch: Uint8Array, channels: number): boolean {
  for (let channel = 0; channel < channels; channel++) {
    let [least, most] = [255, 0]
    for (let i = channel; i < patch.length; i += channels) {
      const value = patch[i] as number
      if (value < least) least = value
      if (value > most) most = value
      if (most - least > BLANK_RANGE) return false
    }
  }
  return true
}
