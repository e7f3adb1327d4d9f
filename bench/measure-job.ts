import * as tf from '@tensorflow/tfjs-core'
import type { ChildReport } from '../scripts/run/measuring/child-report.js'
import { type BackendChoice, useBackend } from '../src/backend/choose.js'
import { usePrecision } from '../src/backend/precision.js'
import { recomputeActivations } from '../src/layers/recomputation.js'
import type { Job } from './jobs.js'
import { measureAugmentation } from './workloads/augmentation.js'
import { measureComposing } from './workloads/composing.js'
import { measureEpoch } from './workloads/data-epoch.js'
import { measureMemory } from './workloads/data-memory.js'
import { measureRecords } from './workloads/data-records.js'
import { measureDecoding } from './workloads/decoding.js'
import { measureLayer } from './workloads/layer.js'
import { measurePipeline } from './workloads/pipeline.js'
import { measurePrediction } from './workloads/prediction.js'
import { measurePruning } from './workloads/pruning.js'
import { measureRegionFiles } from './workloads/region-files.js'
import { measureRouted } from './workloads/routed.js'
import { measureSamples } from './workloads/samples.js'
import { measureTraining } from './workloads/training.js'

/**
 * Does a job in this process.
 *
 * @throws Error when the backend, or the precision on it, cannot be used
 */
export async function measureJob(job: Job): Promise<ChildReport> {
  const choice = await useBackend(job.backend)
  if (job.workload === 'training') {
    usePrecision(job.precision === 'bf16' ? 'bf16' : 'float32')
    recomputeActivations(job.precision === 'float32, low memory')
  }
  return { software: softwareOf(choice), ...(await measured(job)) }
}

function measured(job: Job): Promise<Omit<ChildReport, 'software'>> {
  switch (job.workload) {
    case 'layer':
      return measureLayer(job)
    case 'training':
      return measureTraining(job)
    case 'prediction':
      return measurePrediction(job)
    case 'pipeline':
      return measurePipeline(job)
    case 'records':
      return measureRecords(job)
    case 'memory':
      return measureMemory(job)
    case 'epoch':
      return measureEpoch(job)
    case 'augmentation':
      return measureAugmentation(job)
    case 'decoding':
      return measureDecoding(job)
    case 'pruning':
      return measurePruning(job)
    case 'composing':
      return measureComposing(job)
    case 'region-files':
      return measureRegionFiles(job)
    case 'routed':
      return measureRouted(job)
    case 'samples':
      return measureSamples(job)
  }
}

function softwareOf({ name, tensorflow }: BackendChoice): string {
  const library = tensorflow ? `, TensorFlow ${tensorflow.version}` : ''
  return `tfjs ${tf.version_core}, backend ${name}${library}`
}
