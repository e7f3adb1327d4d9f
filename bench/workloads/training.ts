import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { modelCost } from '../../src/models/cost.js'
import { alternate, type Contestant } from '../alternate.js'
import type { TrainingJob } from '../jobs.js'
import { buildNetwork, noiseBatch, trainingStep } from '../network.js'

/** How many of the network's largest convolutions are timed for the machine's best rate. */
const convolutionsTimed = 3

/**
 * Times steps of training on one batch: `step`. Facts: `parameters`, `FLOP` of a step (2 a multiply-add, forward and
 * backward), `peak bytes` of the process after the steps, the `first loss` and the `last loss`. Where the job says so,
 * it then times the network's largest convolutions too, each under its own name in seconds and in facts (its FLOP).
 */
export async function measureTraining(job: TrainingJob): Promise<Omit<ChildReport, 'software'>> {
  const model = buildNetwork(job.network, job)
  const step = trainingStep(model)
  const batch = noiseBatch(job, job.batch)
  const losses: number[] = []
  const seconds = await alternate(
    [{ name: 'step', run: async () => void losses.push(await step(batch)) }],
    job,
  )
  // Read before the convolutions, which need memory of their own.
  const peakBytes = process.resourceUsage().maxRSS * 1024
  const { multiplyAdds, parameters } = modelCost(model)
  const facts: Record<string, number> = {
    parameters: parameters.total,
    FLOP: 2 * multiplyAdds.training * job.batch,
    'peak bytes': peakBytes,
    'first loss': losses.at(0) ?? Number.NaN,
    'last loss': losses.at(-1) ?? Number.NaN,
  }
  if (!job.convolutions) return { seconds, facts }
  const convolutions = largestConvolutions(model, job.batch)
  for (const { name, flop } of convolutions) facts[name] = flop
  const contestants = convolutions.map(convolution => convolve(convolution, job.batch))
  return { seconds: { ...seconds, ...(await alternate(contestants, job)) }, facts }
}

/** A forward convolution of the network by itself. */
interface Convolution {
  readonly name: string
  /** Height, width and channels of its input. */
  readonly map: readonly [height: number, width: number, channels: number]
  readonly kernel: tf.Tensor4D
  readonly stride: number
  readonly flop: number
}

function largestConvolutions(model: tfl.LayersModel, batch: number): Convolution[] {
  const convolutions = model.layers
    .filter(layer => layer.getClassName() === 'Conv2D')
    .map(layer => convolutionOf(layer, batch))
  const different = new Map(convolutions.map(convolution => [convolution.name, convolution]))
  return [...different.values()].sort((a, b) => b.flop - a.flop).slice(0, convolutionsTimed)
}

function convolutionOf(layer: tfl.layers.Layer, batch: number): Convolution {
  const node = layer.inboundNodes[0]!
  const [, height = 1, width = 1, channels = 1] = node.inputShapes[0] as number[]
  const [, ...output] = node.outputShapes[0] as number[]
  const [outputHeight = 1, , filters = 1] = output
  const kernel = layer.getWeights()[0] as tf.Tensor4D
  return {
    name: `convolution ${height}x${width}x${channels} to ${output.join('x')}, ${kernel.shape.slice(0, 2).join('x')}`,
    map: [height, width, channels],
    kernel,
    stride: Math.round(height / outputHeight),
    flop: (2 * batch * tf.util.sizeFromShape(output) * kernel.size) / filters,
  }
}

function convolve({ name, map, kernel, stride }: Convolution, batch: number): Contestant {
  const input = tf.randomUniform([batch, ...map], 0, 1, 'float32', 3) as tf.Tensor4D
  return {
    name,
    run: () =>
      tf.tidy(() => {
        const y = tf.conv2d(input, kernel, stride, 'same')
        // Reading one number of the result waits until all of the work is done.
        tf.slice(y, [0, 0, 0, 0], [1, 1, 1, 1]).dataSync()
      }),
  }
}
