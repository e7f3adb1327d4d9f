import type * as core from '@tensorflow/tfjs-core'
import type * as layers from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../../src/data/image-set.js'
import type { patchMoE } from '../../src/layers/moe/patch-moe.js'
import type { CheckpointStore, readCheckpoint } from '../../src/train/checkpoint.js'
import type { predictProbabilities } from '../../src/train/evaluate.js'
import type { train } from '../../src/train/loop.js'

/** The modules that compute: those of the page, or those of Node. */
export interface Modules {
  readonly tf: typeof core
  readonly tfl: typeof layers
  readonly patchMoE: typeof patchMoE
  readonly train: typeof train
}

/** What predicts with them. */
interface Predicting extends Pick<Modules, 'tfl' | 'patchMoE'> {
  readonly predictProbabilities: typeof predictProbabilities
}

const images = imagesOfTwoClasses(24)

/**
 * Trains a small mixture by this package's `train`; the same in a page and in Node.
 *
 * @returns the loss of each epoch
 */
export async function trainSmallMixture({ tfl, patchMoE, train }: Modules): Promise<number[]> {
  const settings = {
    epochs: 3,
    batchSize: 8,
    seed: 1,
    optimizer: { name: 'sgd', learningRate: 0.1 },
  } as const
  const losses: number[] = []
  for await (const event of train(smallMixture(tfl, patchMoE), { train: images, ...settings })) {
    if (event.type === 'epoch') losses.push(event.trainLoss)
  }
  return losses
}

/** As {@link trainSmallMixture}, by tfjs's `fit`. */
export async function fitSmallMixture({ tf, tfl, patchMoE }: Modules): Promise<number[]> {
  const model = smallMixture(tfl, patchMoE)
  model.compile({ optimizer: tf.train.sgd(0.1), loss: 'categoricalCrossentropy' })
  const x = tf.div(tf.tensor4d(Float32Array.from(images.images), [24, 8, 8, 3]), 255)
  const y = tf.oneHot(tf.tensor1d([...images.labels], 'int32'), 2)
  const { history } = await model.fit(x, y, { epochs: 3, batchSize: 8, shuffle: false, yieldEvery: 'never' })
  return (history.loss ?? []).map(Number)
}

/** What the mixture says of the images before it is trained. */
export async function predictSmallMixture(modules: Predicting): Promise<number[]> {
  const { tfl, patchMoE, predictProbabilities } = modules
  const rows = await predictProbabilities(smallMixture(tfl, patchMoE), images.images, images.shape)
  return rows.flatMap(row => [...row])
}

/**
 * Trains the same, and loses what computes at the second step of the second epoch; then goes on from the last checkpoint, in a new
 * model, on what computes then.
 *
 * @param lose what computes
 * @param reopen it
 * @returns what training and a prediction after it ended with, and the loss of each epoch that was trained to its end
 */
export async function trainThroughLoss(
  modules: Modules & Predicting & { readonly readCheckpoint: typeof readCheckpoint },
  lose: () => void,
  reopen: () => Promise<unknown>,
): Promise<{ readonly trained: string; readonly predicted: string; readonly losses: number[] }> {
  const { tfl, patchMoE, train, readCheckpoint, predictProbabilities } = modules
  let stored: Uint8Array | undefined
  const checkpoints: CheckpointStore = {
    read: async () => stored,
    write: async (_, bytes) => {
      stored = bytes
    },
  }
  const options = {
    ...{ train: images, epochs: 3, batchSize: 8, seed: 1, checkpoints, checkpointSteps: 1 },
    optimizer: { name: 'sgd', learningRate: 0.1 },
  } as const
  const lost = smallMixture(tfl, patchMoE)
  const told = async (work: Promise<unknown>) =>
    work.then(
      () => 'no error',
      (error: unknown) => String(error),
    )
  const trained = await told(
    (async () => {
      for await (const event of train(lost, options))
        if (event.type === 'step' && event.epoch === 2 && event.step % 3 === 2) lose()
    })(),
  )
  const predicted = await told(predictProbabilities(lost, images.images, images.shape))
  await reopen()
  const resume = readCheckpoint(stored as Uint8Array, 'the last checkpoint')
  const losses = resume.history.map(({ trainLoss }) => trainLoss)
  for await (const event of train(smallMixture(tfl, patchMoE), { ...options, resume }))
    if (event.type === 'epoch') losses.push(event.trainLoss)
  return { trained, predicted, losses }
}

function smallMixture(tfl: Modules['tfl'], patchMoE: Modules['patchMoE']) {
  const initial = (seed: number) => tfl.initializers.heNormal({ seed })
  return tfl.sequential({
    layers: [
      tfl.layers.conv2d({
        inputShape: [8, 8, 3],
        filters: 8,
        kernelSize: 3,
        padding: 'same',
        kernelInitializer: initial(1),
      }),
      patchMoE({
        filters: 8,
        numExperts: 2,
        patchesPerExpert: 4,
        patchSize: 2,
        kernelInitializer: initial(2),
        routerInitializer: initial(3),
      }),
      tfl.layers.reLU(),
      tfl.layers.globalAveragePooling2d({}),
      tfl.layers.dense({ units: 2, activation: 'softmax', kernelInitializer: initial(4) }),
    ],
  })
}

/** Noise, brighter in one corner for one of the classes. */
function imagesOfTwoClasses(count: number): ImageSet {
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2)
  const images = Uint8Array.from({ length: count * 8 * 8 * 3 }, (_, i) => {
    const [image, pixel] = [Math.floor(i / 192), Math.floor((i % 192) / 3)]
    const inCorner = pixel % 8 < 4 && pixel < 32
    return ((i * 7919) % 97) + (inCorner && labels[image] === 1 ? 120 : 0)
  })
  return { images, labels, count, shape: [8, 8, 3], classNames: ['plain', 'corner'] }
}
