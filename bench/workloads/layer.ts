import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { alternate, type Contestant } from '../alternate.js'
import { type LayerJob, networkKernel } from '../jobs.js'

/**
 * Times forward and backward (gradients of the map and of every weight, for a given gradient of the output) of
 * `conv KxK` (the convolution with an expert's kernel size, and the 3x3 one of the network where that is another),
 * `moe L` and `masked L` for every L.
 */
export async function measureLayer(job: LayerJob): Promise<Omit<ChildReport, 'software'>> {
  const { batch, side, channels, kernel, keeps } = job
  const shape: [number, number, number, number] = [batch, side, side, channels]
  const map = tf.randomNormal(shape, 0, 1, 'float32', 1) as tf.Tensor4D
  const outputGradient = tf.randomNormal(shape, 0, 1, 'float32', 2) as tf.Tensor4D
  const contestant = (name: string, layer: Piece): Contestant => ({
    name,
    run: forwardBackward(layer, map, outputGradient),
  })
  const kernels = new Set([kernel, networkKernel])
  const contestants = [
    ...[...kernels].map(size => contestant(`conv ${size}x${size}`, convolution(channels, size))),
    ...keeps.map(keep => contestant(`moe ${keep}`, sparse(job, keep))),
    ...keeps.map(keep => contestant(`masked ${keep}`, masked(job, keep))),
  ]
  return { seconds: await alternate(contestants, job), facts: { patches: (side / job.patch) ** 2 } }
}

/** One or more layers that are timed as one, and how they are applied. */
interface Piece {
  readonly layers: readonly tfl.layers.Layer[]
  apply(map: tf.Tensor4D): tf.Tensor4D
}

function convolution(filters: number, kernelSize: number): Piece {
  return alone(tfl.layers.conv2d({ filters, kernelSize, padding: 'same', useBias: false }))
}

function sparse({ experts, patch, channels, kernel }: LayerJob, keep: number): Piece {
  return alone(
    patchMoE({
      numExperts: experts,
      patchesPerExpert: keep,
      patchSize: patch,
      filters: channels,
      kernelSize: kernel,
    }),
  )
}

/** The dense form: each expert masks the whole map by its gates and convolves all of it. */
function masked({ experts, patch, channels, kernel }: LayerJob, keep: number): Piece {
  const pairs = Array.from({ length: experts }, () => ({
    gate: patchGate({ patchSize: patch, patchesPerExpert: keep, gateScale: 'mean-one' }),
    conv: convolution(channels / experts, kernel),
  }))
  return {
    layers: pairs.flatMap(({ gate, conv }) => [gate, ...conv.layers]),
    apply: map =>
      tf.concat(
        pairs.map(({ gate, conv }) => conv.apply(gate.apply(map) as tf.Tensor4D)),
        3,
      ),
  }
}

function alone(layer: tfl.layers.Layer): Piece {
  return { layers: [layer], apply: map => layer.apply(map, { training: true }) as tf.Tensor4D }
}

function forwardBackward(piece: Piece, map: tf.Tensor4D, outputGradient: tf.Tensor4D): () => void {
  // The first application builds the layers.
  tf.tidy(() => piece.apply(map))
  const weights = piece.layers.flatMap(layer => layer.trainableWeights.map(weight => weight.read()))
  const gradients = tf.grads((...inputs) => piece.apply(inputs[0] as tf.Tensor4D))
  return () =>
    tf.tidy(() => {
      const [byMap] = gradients([map, ...weights], outputGradient)
      // Reading one number of the result waits until all of the work is done.
      if (byMap) tf.slice(byMap, [0, 0, 0, 0], [1, 1, 1, 1]).dataSync()
    })
}
