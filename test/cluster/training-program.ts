// One worker, or the one process, of a small training: what it is told as JSON, and what it ends with as a line of JSON.
import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { useBackend } from '../../src/backend/choose.js'
import { clusterSpec } from '../../src/cluster/cluster-spec.js'
import { joinCluster } from '../../src/cluster/join-cluster.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { type EpochMetrics, type TrainOptions, train } from '../../src/train/loop.js'
import { brightRows } from '../train/tasks.js'

/** What a worker trains. */
export interface SmallTraining {
  readonly network: 'pmoe' | 'plain'
  readonly images: number
  readonly options: Omit<TrainOptions, 'train' | 'test' | 'validation' | 'cluster' | 'signal' | 'checkpoints'>
  readonly isEvaluated?: boolean
  /** Seconds. */
  readonly heartbeat?: number
  readonly startTimeout?: number
  /** Waits before each step after the first: milliseconds. */
  readonly pause?: number
  /** What this worker has otherwise. */
  readonly seed?: number
}

/** What a worker ends with. */
export interface TrainedHere {
  readonly weights: number[][]
  readonly history: readonly EpochMetrics[]
  readonly waitedMs: number
}

const training = JSON.parse(process.argv[2] ?? '') as SmallTraining
const { network, images, options, isEvaluated, heartbeat, startTimeout, pause } = training
const spec = clusterSpec(process.env)
try {
  const cluster =
    spec &&
    (await joinCluster(spec, {
      ...(heartbeat !== undefined && { heartbeat }),
      ...(startTimeout !== undefined && { startTimeout }),
      gpu: false,
    }))
  if (!cluster) await useBackend('tensorflow')
  console.log('joined')
  const model: tfl.LayersModel = wideResNet({
    inputShape: [8, 8, 1],
    numClasses: 3,
    depth: 10,
    widenFactor: 1,
    seed: training.seed ?? 1,
    ...(network === 'pmoe' && { pmoe: { numExperts: 4, patchesPerExpert: 2, patchSize: 1 } }),
  })
  let history: readonly EpochMetrics[] = []
  const run = train(model, {
    ...options,
    train: brightRows(images, 3, 1, 8),
    ...(isEvaluated && { test: brightRows(25, 3, 2, 8), validation: brightRows(31, 3, 3, 8) }),
    ...(cluster && { cluster }),
  })
  for await (const event of run) {
    if (event.type === 'step') {
      console.log(`step ${event.step}`)
      if (pause !== undefined) await new Promise(resolve => setTimeout(resolve, pause))
    }
    if (event.type === 'end') history = event.history
  }
  const weights = model.weights.map(weight => [...weight.read().dataSync()])
  const trained: TrainedHere = { weights, history, waitedMs: cluster?.waitedMs() ?? 0 }
  console.log(JSON.stringify({ trained, tensors: tf.memory().numTensors }))
} catch (error) {
  console.log(JSON.stringify({ failure: (error as Error).message }))
  process.exitCode = 1
}
