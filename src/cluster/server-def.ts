import { PbfWriter } from 'pbf'
import type { ClusterSpec } from './cluster-spec.js'

/** What TensorFlow's server is told besides the addresses. */
export interface ServerSettings extends ClusterSpec {
  /** How long the workers wait for each other at the start; milliseconds. */
  readonly registerTimeoutMs: number
  /** After how long without a sign of life a worker counts as lost; milliseconds. */
  readonly heartbeatMs: number
  /** Whether tensors are on GPUs, between which NCCL reduces them. */
  readonly usesGpu: boolean
}

/** The name of a worker among TensorFlow's devices. */
export function taskName(index: number): string {
  return `/job:worker/replica:0/task:${index}`
}

/**
 * A ServerDef of TensorFlow's, as `MultiWorkerMirroredStrategy` makes it: a worker for each address, the first of which leads the
 * collectives and hears the heartbeats of all.
 *
 * Reference: tensorflow/core/protobuf/{tensorflow_server,cluster,config}.proto, tsl/protobuf/coordination_config.proto
 */
export function serverDef(settings: ServerSettings): Uint8Array {
  const { index } = settings
  const writer = new PbfWriter()
  writer.writeMessage(1, clusterDef, settings)
  writer.writeStringField(2, 'worker')
  writer.writeVarintField(3, index)
  writer.writeMessage(4, sessionConfig, settings)
  writer.writeStringField(5, 'grpc')
  return writer.finish()
}

function clusterDef({ workers }: ServerSettings, writer: PbfWriter): void {
  writer.writeMessage(1, jobDef, workers)
}

function jobDef(workers: readonly string[], writer: PbfWriter): void {
  writer.writeStringField(1, 'worker')
  for (const [task, address] of workers.entries()) {
    writer.writeMessage(
      2,
      (_, entry) => {
        entry.writeVarintField(1, task)
        entry.writeStringField(2, address)
      },
      address,
    )
  }
}

function sessionConfig(settings: ServerSettings, writer: PbfWriter): void {
  // Only this worker's own devices are seen.
  writer.writeStringField(4, `/job:worker/task:${settings.index}`)
  if (settings.usesGpu) writer.writeMessage(6, (_, gpu) => gpu.writeBooleanField(4, true), undefined)
  writer.writeBooleanField(7, true)
  writer.writeMessage(16, experimental, settings)
}

function experimental(settings: ServerSettings, writer: PbfWriter): void {
  writer.writeStringField(1, taskName(0))
  if (settings.usesGpu) writer.writeBooleanField(7, true)
  writer.writeMessage(23, coordination, settings)
}

function coordination({ workers, registerTimeoutMs, heartbeatMs }: ServerSettings, writer: PbfWriter): void {
  writer.writeStringField(1, 'standalone')
  writer.writeStringField(2, taskName(0))
  writer.writeBooleanField(3, true)
  writer.writeVarintField(4, registerTimeoutMs)
  writer.writeVarintField(5, heartbeatMs)
  writer.writeMessage(
    10,
    (_, job) => {
      job.writeStringField(1, 'worker')
      job.writeVarintField(2, workers.length)
    },
    undefined,
  )
}
