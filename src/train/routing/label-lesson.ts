import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { withoutGradient } from '../../layers/hand-gradient.js'
import { patchBoxes } from '../../layers/moe/cells.js'
import type { PatchExperts } from '../../layers/moe/patch-experts.js'
import { givenPatches } from '../../layers/moe/patch-experts-inputs.js'
import { keptScores } from '../../layers/moe/routing.js'
import { pixelTensor } from '../../layers/pixels.js'
import { type Random, random } from '../../random.js'
import { viewSize } from '../../shapes.js'
import { joinedBytes, type Lesson, type LessonOptions, viewBytes } from './lesson.js'

/** Cells of an image that each expert looks at in a step. */
const defaultCells = 16
/** What log-likelihoods are divided by before they become shares: below 1, so that what speaks for a class stands out more. */
const TEMPERATURE = 0.5

/**
 * Teaches a router by the classes of images alone: each patch is asked for the class of its image by itself, and the router is
 * asked for the patches that can tell. Of each image every expert looks at M cells, half of them drawn by its scores and half
 * evenly, and with p_j(y) what a dense layer on the expert's output on patch j gives the image's class y, the loss is the mean over
 * images and experts of
 *
 *     -1/M sum_j log p_j(y) - sum_j t_j log softmax(g)_j,   t = softmax(log p(y) / 0.5), held fixed,
 *
 * over these M cells, with g their scores. Router and experts are trained, and the dense layer, which is then thrown away.
 */
export function labelLesson({ layer, numClasses, seed, cells = defaultCells }: LessonOptions): Lesson {
  const looked = Math.min(cells, layer.grid.count)
  const chance = random(seed, 'cells of the label lesson')
  const { viewScale } = layer.options
  const networks = [...layer.networks].filter(([name]) => name !== 'attention').map(([, network]) => network)
  const outputs = networks[1]?.outputs[0]?.shape[1] as number
  const [kernel, bias] = tf.tidy(
    () => [tf.variable(tf.zeros([outputs, numClasses])), tf.variable(tf.zeros([numClasses]))] as const,
  )
  const trained = networks.flatMap(network => network.trainableWeights)
  return {
    weights: [...trained.map(weight => weight.read() as tf.Variable), kernel, bias],
    async task({ sources, labels, count }) {
      const [first] = sources
      if (!first) return undefined
      const size = [...viewSize([first.height, first.width], viewScale), first.channels]
      const view = pixelTensor(await viewBytes(sources, viewScale), [count, ...size]) as tf.Tensor4D
      try {
        const chosen = await drawnCells(layer, view, looked, chance)
        const boxes = boxesOf(layer, chosen)
        const perImage = boxes.length / count
        const cut = await Promise.all(
          sources.map((source, i) => source.regions(boxes.slice(i * perImage, (i + 1) * perImage))),
        )
        const shape = [count, layer.numExperts, looked] as const
        const patches = pixelTensor(joinedBytes(cut), [...shape, ...layer.patchShape])
        const indices = tf.tensor3d(chosen, [...shape], 'int32')
        const classes = tf.tidy(() =>
          tf.reshape(tf.oneHot(tf.tensor1d(labels, 'int32'), numClasses), [count, 1, 1, -1]),
        )
        return {
          count,
          loss: () => {
            const features = patchFeatures(layer, patches, looked)
            const logits = tf.add(tf.matMul(tf.reshape(features, [-1, outputs]), kernel as tf.Tensor2D), bias)
            const likelihoods = tf.reshape(tf.logSoftmax(logits), [...shape, numClasses])
            const told = tf.sum(tf.mul(likelihoods, classes), 3) // (B,K,M)
            const shares = withoutGradient(() => tf.softmax(tf.div(told, TEMPERATURE)))
            const scores = keptScores(layer.scores(view, true), indices)
            const looks = tf.sum(tf.mul(shares, tf.logSoftmax(scores)), 2)
            return tf.neg(tf.add(tf.mean(told), tf.mean(looks))) as tf.Scalar
          },
          dispose: () => tf.dispose([view, patches, indices, classes]),
        }
      } catch (error) {
        view.dispose()
        throw error
      }
    },
    dispose: () => tf.dispose([kernel, bias]),
  }
}

/** (B K M) different cells for each image and expert: half of them by the largest of score and Gumbel noise, the others evenly. */
async function drawnCells(
  layer: PatchExperts,
  view: tf.Tensor4D,
  looked: number,
  chance: Random,
): Promise<Int32Array> {
  const scores = tf.tidy(() => layer.scores(view, false))
  const values = await scores.data<'float32'>()
  scores.dispose()
  const { count } = layer.grid
  const rows = values.length / count
  const cells = new Int32Array(rows * looked)
  const gumbel = (): number => -Math.log(-Math.log(1 - chance.next() * (1 - 1e-9)) + 1e-12)
  for (let row = 0; row < rows; row++) {
    const noisy = Array.from(values.subarray(row * count, (row + 1) * count), score => score + gumbel())
    const byScore = Array.from(noisy.keys()).sort((a, b) => (noisy[b] as number) - (noisy[a] as number))
    const half = Math.ceil(looked / 2)
    const evenly = byScore.splice(half)
    const others = Array.from(
      { length: looked - half },
      () => evenly.splice(chance.below(evenly.length), 1)[0] as number,
    )
    cells.set([...byScore, ...others], row * looked)
  }
  return cells
}

/** (count, 4) the patches of cells in pixels. */
function boxesOf(layer: PatchExperts, cells: Int32Array): Int32Array {
  const all = patchBoxes(layer.grid)
  const boxes = new Int32Array(4 * cells.length)
  for (const [i, cell] of cells.entries()) boxes.set(all.subarray(4 * cell, 4 * cell + 4), 4 * i)
  return boxes
}

/** (B,K,M,D) what experts say of patches (B,K,M,p,q,C). */
function patchFeatures(layer: PatchExperts, patches: tf.Tensor, looked: number): tf.Tensor {
  const { numExperts, networks } = layer
  const apply = (name: string, expert?: number): tf.Tensor =>
    (networks.get(name) as tfl.LayersModel).apply(givenPatches(patches, layer, expert), {
      training: true,
    }) as tf.Tensor
  const shared = networks.has('expert')
  if (shared || numExperts === 1) return apply(shared ? 'expert' : 'expert_0')
  const own = Array.from({ length: numExperts }, (_, k) =>
    tf.reshape(apply(`expert_${k}`, k), [patches.shape[0] as number, 1, looked, -1]),
  )
  return tf.concat(own, 1)
}
