import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ChildCommand } from '../scripts/run/measuring/child-process.js'
import type { LatencyJob } from '../scripts/run/measuring/latency-jobs.js'
import type { TrainingJob } from './jobs.js'

/** The frameworks that this library is measured beside. */
export type Peer = 'keras' | 'torch'

/** What a peer is told: the same as a job of this library, without its backends. */
export type PeerJob = Omit<TrainingJob, 'workload' | 'backend' | 'convolutions'>

/**
 * The interpreter of the peers' environment.
 *
 * @param folder made by `bash bench/peers/setup.sh FOLDER`
 * @throws RangeError when there is none
 */
export function peerPython(folder: string): string {
  const python = join(folder, 'bin', 'python')
  if (existsSync(python)) return python
  throw new RangeError(
    `peerPython: --peers must be a folder made by bench/peers/setup.sh, got ${folder} (no ${python})`,
  )
}

/** What onnxruntime-web is told. */
export interface WebPeerJob extends Pick<LatencyJob, 'batch' | 'warmUp' | 'runs' | 'seconds'> {
  /** The ONNX file, of images of 3 channels. */
  readonly path: string
  /** Side of an image, in pixels. */
  readonly size: number
}

/**
 * The measuring process of onnxruntime-web.
 *
 * @param folder of the peers' environment
 */
export function webPeerCommand(who: string, folder: string, job: WebPeerJob): ChildCommand {
  const { path, batch, size, warmUp, runs, seconds } = job
  const script = fileURLToPath(new URL('./peers/onnxruntime_web.mjs', import.meta.url))
  const numbers = [batch, size, size, warmUp, runs, seconds].map(String)
  return {
    who,
    program: process.execPath,
    arguments: [script, resolve(folder), path, ...numbers],
    environment: {},
  }
}

/** The measuring process of a peer: a script in bench/peers, run by the interpreter of its environment. */
export function peerCommand(who: string, python: string, peer: Peer, job: PeerJob): ChildCommand {
  const script = fileURLToPath(new URL(`./peers/${peer}_wrn_pmoe.py`, import.meta.url))
  const numbers = {
    size: job.size,
    batch: job.batch,
    classes: job.classes,
    widen: job.widen,
    experts: job.experts,
    keep: job.keep,
    patch: job.patch,
    kernel: job.kernel,
    'warm-up': job.warmUp,
    steps: job.rounds,
  }
  const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)])
  const model = job.network === 'wrn' ? 'wrn' : 'pmoe'
  const bf16 = job.precision === 'bf16' ? ['--bf16'] : []
  return { who, program: python, arguments: [script, model, ...flags, ...bf16], environment: {} }
}
