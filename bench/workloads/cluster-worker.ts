// One worker of bench/cluster.ts: takes steps, and prints their times as a line of JSON.
import * as tf from '@tensorflow/tfjs-core'
import { useBackend } from '../../src/backend/choose.js'
import { clusterSpec } from '../../src/cluster/cluster-spec.js'
import { joinCluster } from '../../src/cluster/join-cluster.js'
import { fixInput } from '../../src/layers/fixed-inputs.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import type { Cluster } from '../../src/train/cluster/cluster.js'
import { workerSteps } from '../../src/train/cluster/worker-step.js'
import { lossOf } from '../../src/train/loss.js'
import { createOptimizer } from '../../src/train/optimizers/optimizer.js'
import { takeStep } from '../../src/train/step.js'
import type { WorkerSteps } from '../cluster.js'

interface Job {
  readonly steps: number
  readonly batch: number
  readonly workers: number
  readonly batchNorm: 'synchronised' | 'local'
  readonly overlaps: boolean
}

const { steps, batch, workers, batchNorm, overlaps } = JSON.parse(process.argv[2] ?? '') as Job
const spec = clusterSpec(process.env)
const joined = spec && (await joinCluster(spec, { gpu: false }))
if (!joined) await useBackend('tensorflow')

/** The same sums, which are begun when they are waited for. */
function withoutOverlap(cluster: Cluster): Cluster {
  return {
    ...cluster,
    startAllReduce: (values, wire) => {
      const kept = tf.keep(tf.clone(values))
      return () => {
        const sum = cluster.allReduce(kept, wire)
        kept.dispose()
        return sum
      }
    },
  }
}

const model = wideResNet({ inputShape: [32, 32, 3], numClasses: 10, depth: 10, widenFactor: 2, seed: 1 })
const cluster = joined && (overlaps ? joined : withoutOverlap(joined))
const parts = {
  model,
  classifier: lossOf(model),
  optimizer: createOptimizer({ name: 'momentum', learningRate: 0.01, momentum: 0.9 }, model),
  workers: workerSteps({ ...(cluster && { cluster }), clusterBatchNorm: batchNorm }),
}
const images = fixInput(tf.randomUniform([batch, 32, 32, 3], 0, 1, 'float32', 1))
const labels = Int32Array.from({ length: batch }, (_, i) => i % 10)
const times: number[] = []
const processor: number[] = []
const waits: number[] = []
for (let step = 0; step < steps + 3; step++) {
  const began = performance.now()
  const before = process.cpuUsage()
  const waited = joined?.waitedMs() ?? 0
  await takeStep(parts, { inputs: [images], labels, images: batch * workers })
  if (step < 3) continue
  const { user, system } = process.cpuUsage(before)
  times.push(performance.now() - began)
  processor.push((user + system) / 1000)
  waits.push((joined?.waitedMs() ?? 0) - waited)
}
const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] as number
const result: WorkerSteps = {
  milliseconds: median(times),
  processorMs: median(processor),
  waitedMs: median(waits),
}
console.log(JSON.stringify(result))
