import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageBatch } from '../src/data/image-set.js'
import { fixInput } from '../src/layers/fixed-inputs.js'
import { wideResNet } from '../src/models/wide-resnet.js'
import type { ImageShape } from '../src/shapes.js'
import { releaseEarly } from '../src/train/early-release.js'
import { lossOf } from '../src/train/loss.js'
import { upload } from '../src/train/upload.js'
import type { NetworkKind, NetworkSize } from './jobs.js'

/** Builds the network of a job: wide residual network of depth 10, dense or with the sparse mixture. */
export function buildNetwork(kind: NetworkKind, setting: NetworkSize): tfl.LayersModel {
  const { size, classes, widen, experts, keep, patch, kernel } = setting
  return wideResNet({
    inputShape: [size, size, 3],
    numClasses: classes,
    widenFactor: widen,
    ...(kind === 'wrn-pmoe' && {
      pmoe: { numExperts: experts, patchesPerExpert: keep, patchSize: patch, kernelSize: kernel },
      variant: 'sparse' as const,
    }),
  })
}

/** Images and their classes, on the backend. */
export interface FixedBatch {
  /** (B,H,W,3) float32 in [0, 1). */
  readonly images: tf.Tensor4D
  /** (B) int32. */
  readonly labels: tf.Tensor1D
}

/** A batch of noise; as in training, nothing is differentiated by the images. */
export function noiseBatch({ size, classes }: NetworkSize, batch: number): FixedBatch {
  return {
    images: fixInput(tf.randomUniform([batch, size, size, 3], 0, 1, 'float32', 1)),
    labels: tf.randomUniform([batch], 0, classes, 'int32', 2),
  }
}

/** A batch of images put on the backend, as training does it. */
export function uploaded({ images, labels }: ImageBatch, shape: ImageShape): FixedBatch {
  return { images: fixInput(upload(images, shape)), labels: tf.tensor1d(labels, 'int32') }
}

/** Frees a batch. */
export function disposeBatch({ images, labels }: FixedBatch): void {
  tf.dispose([images, labels])
}

/**
 * A training step as peers take it: forward in training mode, softmax cross-entropy, backward, SGD with rate 0.1.
 *
 * @returns takes one step and reads its loss
 */
export function trainingStep(model: tfl.LayersModel): (batch: FixedBatch) => Promise<number> {
  const classifier = lossOf(model)
  const optimizer = tf.train.sgd(0.1)
  const variables = model.trainableWeights.map(weight => weight.read() as tf.Variable)
  return async ({ images, labels }) => {
    const loss = optimizer.minimize(
      () => {
        const loss = classifier.loss(classifier.logits(images, true), labels)
        releaseEarly()
        return loss
      },
      true,
      variables,
    ) as tf.Scalar
    const [value] = await loss.data()
    loss.dispose()
    return value as number
  }
}
