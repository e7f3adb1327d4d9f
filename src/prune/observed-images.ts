import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageBatch, ImageSet } from '../data/image-set.js'
import { type ImageStream, streamOf } from '../data/image-stream.js'
import { frugalForward } from '../layers/frugal-forward.js'
import { handGradient } from '../layers/hand-gradient.js'
import { withIntercepted } from '../layers/intercept.js'
import type { ImageShape } from '../shapes.js'
import { hostTurns } from '../train/host-turn.js'
import { type ClassifierLoss, lossOf } from '../train/loss.js'
import { checkFits, checkImageShape, upload } from '../train/upload.js'
import type { RecordedCall } from './mixtures/mixture.js'

/** How images are passed through a model. */
export interface ImagePassOptions {
  /** Images computed at a time; 32 unless given. */
  readonly batchSize?: number
  /** Ends the pass after the running batch, with the signal's reason as the error. */
  readonly signal?: AbortSignal
}

/** Computes a network from the images on. */
type Forward = (images: tf.Tensor, training: boolean) => tf.Tensor

/**
 * Passes images through a model in their stored order, in inference mode, and takes means of what is measured.
 *
 * @param layers whose calls are recorded
 * @param measure from these calls: (B,columns), one row an image
 * @param withSlopes whether the derivatives of each image's own loss are recorded, too
 * @returns the mean over images of each column
 * @throws RangeError when the images do not fit the model, or one of the layers is used at several places
 */
export async function meansOverImages(
  model: tfl.LayersModel,
  layers: readonly tfl.layers.Layer[],
  data: ImageSet | ImageStream,
  measure: (recorded: (layer: tfl.layers.Layer) => RecordedCall) => tf.Tensor2D,
  { withSlopes, batchSize = 32, signal }: ImagePassOptions & { readonly withSlopes: boolean },
  where: string,
): Promise<readonly number[]> {
  const classifier = withSlopes ? lossOf(model) : undefined
  checkImages(model, data, classifier, where)
  const forward = frugalForward(model)
  const turn = hostTurns()
  let sums = new Float64Array(0)
  for await (const batch of streamOf(data).batches({ batchSize })) {
    signal?.throwIfAborted()
    const rows = tf.tidy(() => {
      const calls = new RecordedCalls(layers, where)
      try {
        if (classifier) calls.ofLosses(classifier, batch, data.shape)
        else calls.ofOutputs(forward, batch, data.shape)
        return measure(layer => calls.at(layer))
      } finally {
        calls.dispose()
      }
    })
    const values = await rows.data<'float32'>()
    const columns = rows.shape[1]
    rows.dispose()
    if (sums.length === 0) sums = new Float64Array(columns)
    for (const [i, value] of values.entries()) sums[i % columns] = (sums[i % columns] as number) + value
    await turn()
  }
  return [...sums].map(sum => sum / data.count)
}

function checkImages(
  model: tfl.LayersModel,
  data: ImageSet | ImageStream,
  classifier: ClassifierLoss | undefined,
  where: string,
): void {
  const name = `${where}: data`
  if (!(data.count >= 1)) throw new RangeError(`${name} must hold at least 1 image, got ${data.count}`)
  if (classifier) checkFits(model, classifier.numClasses, data, name)
  else checkImageShape(model, data.shape, name)
}

/** What goes into layers and comes out while a batch passes through the network. */
class RecordedCalls {
  private readonly calls = new Map<
    tfl.layers.Layer,
    { -readonly [Part in keyof RecordedCall]: RecordedCall[Part] }
  >()
  private readonly layers: readonly tfl.layers.Layer[]
  private readonly where: string

  constructor(layers: readonly tfl.layers.Layer[], where: string) {
    this.layers = layers
    this.where = where
  }

  ofOutputs(forward: Forward, batch: ImageBatch, shape: ImageShape): void {
    this.during(
      output => output,
      () => forward(upload(batch.images, shape), false),
    )
  }

  /** Evaluation mode keeps images apart, so that the gradient of the losses' sum holds the gradient of each. */
  ofLosses(classifier: ClassifierLoss, batch: ImageBatch, shape: ImageShape): void {
    const labels = tf.tensor1d(batch.labels, 'int32')
    const images = upload(batch.images, shape)
    // Differentiating by a number that is added to the outputs keeps the gradient from going on into the layers before.
    tf.grad(nothing =>
      this.during(
        (output, layer) => withSlope(tf.add(output, nothing), slope => this.keepSlope(layer, slope)),
        () => tf.mul(classifier.loss(classifier.logits(images, false), labels), batch.count),
      ),
    )(tf.scalar(0))
  }

  at(layer: tfl.layers.Layer): RecordedCall {
    const call = this.calls.get(layer)
    if (call) return call
    throw new Error(
      `${this.where}: the model's output must depend on all layers that are measured, got none of ${layer.name}`,
    )
  }

  dispose(): void {
    for (const { input, output, slope } of this.calls.values())
      tf.dispose([input, output, ...(slope ? [slope] : [])])
  }

  private during<Result>(
    after: (output: tf.Tensor, layer: tfl.layers.Layer) => tf.Tensor,
    run: () => Result,
  ): Result {
    return withIntercepted(
      this.layers,
      (input, compute, layer) => {
        const output = compute(input)
        this.record(layer, input, output)
        return after(output, layer)
      },
      run,
    )
  }

  private record(layer: tfl.layers.Layer, input: tf.Tensor4D, output: tf.Tensor): void {
    if (this.calls.has(layer)) {
      throw new RangeError(
        `${this.where}: layers that are measured on images must be used at one place, got ${layer.name} at several`,
      )
    }
    this.calls.set(layer, { input: tf.keep(input.clone()), output: tf.keep(output.clone()) })
  }

  private keepSlope(layer: tfl.layers.Layer, slope: tf.Tensor): void {
    const call = this.calls.get(layer)
    if (call) call.slope = tf.keep(slope.clone())
  }
}

/** Hands a tensor on, and its gradient to the caller when that is computed. */
function withSlope(x: tf.Tensor, onSlope: (slope: tf.Tensor) => void): tf.Tensor {
  return handGradient([x], () => ({
    value: x.clone(),
    saved: [],
    gradient: slope => {
      onSlope(slope)
      return [slope.clone()]
    },
  }))
}
